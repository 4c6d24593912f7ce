"""What rounds gain on a run with labels, and what is at fault where they gain nothing.

    python -m benchmarks.rounds RUN OUT --members demo-xmem [--seeds 0 1 2] [--variants once ...]

RUN is a run with labels that kept its predictions; nothing in it changes. For every seed, which
draws the videos that are held out and the clips, and for every variant there is a folder in OUT:

  once       one round
  twice      goes on from there with a second one
  plain      one round, all that is sure counting fully
  per-video  one round, each video by itself
  spoilt     one round; in a fifth of the videos the masks follow the wrong object
  truth      one round with the true masks on the same frames

Printed are means and standard deviations over seeds, in percent points of J&F over all videos:
what the chosen masks gain if the new members join whatever the verdict says, what they gain by the
verdict, and what the new members gain over the old ones. What is there is not run again.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from unittest.mock import patch

import numpy as np

from ensemble.config import load_config
from finetune.command import train_shown
from mose.layout import ANNOTATIONS
from mose.masks import VOID, object_ids, read_mask, write_mask
from selection.record import read_records
from selection.summary import summarise
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.config import SET_HELP
from stseg.files import read_json, write_json
from stseg.tables import format_table
from study.rounds import stages
from study.rounds.options import LABELS, WEIGHTS, load_rounds
from study.rounds.source import FinishedRun

VARIANTS = ("once", "twice", "plain", "per-video", "spoilt", "truth")
SPOILT_SHARE = 0.2

Change = Callable[[FinishedRun, str, str, np.ndarray], np.ndarray]
"""Of a run, a video, a frame and its labels: other labels."""


@dataclass(frozen=True)
class Result:
    """What one variant gave with one seed: gains in percent points, and what it cost.

    joined    is that of the chosen masks, whatever the verdict says
    chosen    is that by the verdict
    members   is the mean of the new members over the old ones
    adopted   is the number of rounds that were
    """

    joined: float
    chosen: float
    members: float
    adopted: int
    minutes: float
    memory_gib: float
    disk_mib: float


def mirrored(seed: int) -> Change:
    """In a fifth of the videos, objects change places; a single one is where it is not."""

    def change(source: FinishedRun, video: str, frame: str, labels: np.ndarray) -> np.ndarray:
        names = sorted(source.records)
        count = max(round(SPOILT_SHARE * len(names)), 1)
        wrong = np.random.default_rng([seed, 1]).choice(names, count, replace=False)
        given = source.dataset.video(video)
        if video not in wrong or frame in [given.frame_names[t] for t in given.prompts]:
            return labels
        ids = object_ids(labels)
        if len(ids) < 2:
            return np.ascontiguousarray(labels[:, ::-1])
        others = np.arange(256, dtype=np.uint8)
        others[list(ids)] = (*ids[1:], ids[0])
        return others[labels]

    return change


def true_labels(source: FinishedRun, video: str, frame: str, labels: np.ndarray) -> np.ndarray:
    """What is true."""
    opened = source.dataset.video(video)
    truth = source.dataset.label_masks(video, opened)(opened.frame_names.index(frame))
    return labels if truth is None else truth


@contextmanager
def changed_sets(change: Change | None) -> Iterator[None]:
    """Let the sets of a round hold other labels, all of them taken for sure."""
    if change is None:
        yield
        return
    plain_training, plain_guard = stages.write_training_set, stages.write_guard_set

    def rewrite(source: FinishedRun, folder: Path) -> None:
        for path in sorted(folder.glob("*/*.png")):
            labels = read_mask(path, binary=False)
            if (labels != VOID).any():
                write_mask(path, change(source, path.parent.name, path.stem, labels))

    def training(source, videos, options, target, least=2):
        plain_training(source, videos, options, target, least)
        rewrite(source, target / ANNOTATIONS)
        weights = read_json(target / WEIGHTS) or {}
        sure = {
            v: {t: dict.fromkeys(ids, 1.0) for t, ids in of.items()} for v, of in weights.items()
        }
        write_json(target / WEIGHTS, sure)

    def guard(source, videos, member, target):
        plain_guard(source, videos, member, target)
        rewrite(source, target / LABELS)

    with (
        patch.object(stages, "write_training_set", training),
        patch.object(stages, "write_guard_set", guard),
    ):
        yield


def order_of(a: argparse.Namespace, variant: str, seed: int) -> stages.Order:
    """What a variant asks for with a seed."""
    changes = [*a.set, f"rounds.seed={seed}", f"recipe.seed={seed}"]
    if variant in ("plain", "truth"):
        changes.append("rounds.weighted=false")
    config, run = load_rounds(a.config, changes), load_config(a.run / "config.yaml")
    name = "once" if variant == "twice" else variant
    execution = replace(run.execution, device=a.device or run.execution.device)
    per_video = variant == "per-video"
    return stages.Order(
        a.run, a.out / f"{name}-{seed}", tuple(a.members), config, execution, per_video=per_video
    )


def measure(a: argparse.Namespace, variant: str, seed: int) -> Result:
    """Run a variant with a seed."""
    order, started = order_of(a, variant, seed), time.monotonic()
    change = {"spoilt": mirrored(seed), "truth": true_labels}.get(variant)
    with changed_sets(change):
        verdicts = dict(stages.run_rounds(order, 2 if variant == "twice" else 1, train_shown))
    for number, verdict in verdicts.items():
        print_line(f"{variant}, seed {seed}: round {number} {verdict.sentence()}")
    seconds = time.monotonic() - started
    if variant == "twice":
        seconds += 60 * measured(a, "once", seed).minutes
    last = max(verdicts)
    adopted = [n for n, verdict in verdicts.items() if verdict.adopted]
    runs = {n: stages.RoundPaths(order.output, n).run for n in verdicts}
    before = truths(a.run)
    joined = truths(runs[last])
    chosen = truths(runs[adopted[-1]]) if adopted else before
    news = [joined[f"{m}@r{last}"] - before[m] for m in a.members]
    return Result(
        joined["selected"] - before["selected"],
        chosen["selected"] - before["selected"],
        fmean(news),
        len(adopted),
        seconds / 60,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        own_bytes(order.output) / 2**20,
    )


def truths(run: Path) -> dict[str, float]:
    """J&F in percent of every candidate of a run, and of the selected masks."""
    truth = summarise(read_records(run), (), 0.0).truth
    return {name: 100 * value for name, value in truth.items()}


def own_bytes(folder: Path) -> int:
    """The size of files that are nobody else's: links to a run's predictions take no room."""
    stats = [os.lstat(path) for path in folder.rglob("*")]
    return sum(one.st_size for one in stats if one.st_nlink == 1)


def measured(a: argparse.Namespace, variant: str, seed: int) -> Result:
    """A result, kept in OUT."""
    path = a.out / f"{variant}-{seed}.json"
    stored = read_json(path)
    if stored is None:
        a.out.mkdir(parents=True, exist_ok=True)
        stored = asdict(measure(a, variant, seed))
        write_json(path, stored)
    return Result(**stored)


def row_of(variant: str, results: Sequence[Result]) -> list[str]:
    """A line of the table."""

    def both(key: str) -> str:
        values = [getattr(result, key) for result in results]
        return f"{fmean(values):+.2f} ± {stdev(values) if len(values) > 1 else 0:.2f}"

    costs = [f"{fmean(getattr(r, key) for r in results):.1f}" for key in COSTS]
    gains = [both(key) for key in ("joined", "chosen", "members")]
    return [variant, str(len(results)), *gains, str(sum(r.adopted for r in results)), *costs]


COSTS = ("minutes", "memory_gib", "disk_mib")
HEADS = ("variant", "seeds", "joined", "by verdict", "members", "adopted", "min", "GiB", "MiB")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run what is not there yet and print the table."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.rounds", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("run", type=Path, help="a run with labels that kept its predictions")
    p.add_argument("out", type=Path, help="folder to make")
    p.add_argument("--members", nargs="+", required=True, help="those that learn")
    p.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    p.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    p.add_argument("--config", default="rounds", help="YAML file (default: configs/rounds.yaml)")
    p.add_argument("--set", action="append", default=[], metavar="A.B=C", help=SET_HELP)
    p.add_argument("--device", help="(default: the run's)")
    a = p.parse_args(argv)
    before = truths(a.run)
    shown = ", ".join(f"{name} {before[name]:.1f}" for name in ("selected", *a.members))
    print_line(f"J&F without a round: {shown}")
    results: dict[str, list[Result]] = {}
    for seed in a.seeds:
        for variant in a.variants:
            results.setdefault(variant, []).append(measured(a, variant, seed))
            print_line(format_table(list(HEADS), [row_of(*one) for one in results.items()]))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
