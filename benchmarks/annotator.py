"""What corrections by hand are worth: an annotator who has the labels corrects one mask at a time.

    python -m benchmarks.annotator RUN OUT --members demo-xmem demo-cutie --videos v0000*

RUN is a run with labels that kept its predictions; its configuration is run again with 1, 2, 3
and 5 corrections per video. The annotator corrects what the run suggests and looks again, or
frames that are spread evenly, or random ones; the object of the last two is drawn. One correction
is the mask of one object on one frame, or that it is gone. Prints J&F of the selected masks. One
member alone suggests nothing: what is in doubt is what members differ about.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.refinement import link_predictions
from ensemble import run as command
from ensemble.config import load_config
from ensemble.plan import choose_videos, open_data
from mose.corrections import GONE
from mose.dataset import Dataset
from mose.masks import read_mask, write_mask
from selection.record import read_records
from selection.run_paths import RunPaths
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.files import read_json, write_json
from stseg.tables import format_table

COUNTS = (1, 2, 3, 5)
WAYS = ("suggested", "uniform", "random")


@dataclass(frozen=True)
class Annotated:
    """One annotator's folder: corrections, and a run for every number of them."""

    way: str
    root: Path
    dataset: Dataset
    counts: Sequence[int]

    def run(self, count: int) -> RunPaths:
        """The run with so many corrections; without any it is the same for all ways."""
        return RunPaths(self.root / (self.way if count else ".") / str(count))

    def correct(self, video: str, frame: int, object_id: int) -> bool:
        """Write the true mask of an object on a frame, or that it is gone; False if that is there
        already."""
        opened = self.dataset.video(video)
        truth = self.dataset.label_masks(video, opened)(frame)
        folder = self.root / self.way / "corrections" / video
        folder.mkdir(parents=True, exist_ok=True)
        name = opened.frame_names[frame]
        if truth is None:
            return False
        if not (truth == object_id).any():
            gone = read_json(folder / GONE) or {}
            before = gone.get(name, [])
            gone[name] = sorted({*before, object_id})
            write_json(folder / GONE, gone)
            return object_id not in before
        path = folder / f"{name}.png"
        ids = read_mask(path) if path.is_file() else np.zeros_like(truth)
        known = bool((ids == object_id).any())
        write_mask(path, np.where(truth == object_id, object_id, ids).astype(np.uint8))
        return not known


def planned(way: str, count: int, length: int, ids: Sequence[int], rng: np.random.Generator):
    """``count`` (frame, object) of an annotator who does not look at suggestions."""
    if way == "uniform":
        frames = np.linspace(0, length - 1, count + 2).round().astype(int)[1:-1]
    else:
        frames = rng.permutation(np.arange(1, length))[:count]
    return [(int(frame), int(rng.choice(ids))) for frame in frames]


def annotate(
    work: Annotated, videos: Sequence[str], arguments: Sequence[str], seed: int
) -> dict[int, float]:
    """Number of corrections -> J&F of all objects."""
    scores = {}
    before = work.run(0)
    for count in range(1, max(work.counts) + 1):
        if work.way != "suggested" and count not in work.counts:
            continue
        if work.way == "suggested":
            said = {record.video: record.suggestion for record in read_records(before.root)}
            wanted = {v: [(s.frame, s.object_id)] for v in videos if (s := said.get(v))}
        else:
            wanted = drawn(work, videos, count, seed)
        for video, corrections in wanted.items():
            for frame, object_id in corrections:
                work.correct(video, frame, object_id)
        before = work.run(count)
        folder = work.root / work.way / "corrections"
        folder.mkdir(parents=True, exist_ok=True)  # nothing may be in doubt
        command.main([*arguments, "--output", str(before.root), "--corrections", str(folder)])
        scores[count] = truth_of(before)
    return scores


def drawn(work: Annotated, videos: Sequence[str], count: int, seed: int):
    """What an annotator without suggestions corrects; evenly spread frames begin anew."""
    if work.way == "uniform":
        for path in (work.root / work.way / "corrections").glob("*/*"):
            path.unlink()
    wanted = {}
    for number, video in enumerate(videos):
        opened = work.dataset.video(video)
        first = {i: t for t in opened.prompts for i in opened.prompts.ids(t)}
        rng = np.random.default_rng([seed, number])
        chosen = planned(work.way, count, len(opened), opened.object_ids, rng)
        wanted[video] = [(frame, n) for frame, n in chosen if frame > first[n]]
    return wanted


def truth_of(run: RunPaths) -> float:
    """Mean J&F of the selected masks over all objects."""
    by_object = [r.truth.by_object for r in read_records(run.root) if r.truth]
    return float(np.mean([s for scores in by_object for s in scores.values() if s is not None]))


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, annotate in every way and print a table."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.annotator", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("run", type=Path, help="a finished run with labels")
    p.add_argument("out", type=Path, help="folder to make")
    p.add_argument("--members", nargs="+", default=[], metavar="NAME", help="only these")
    p.add_argument("--videos", nargs="+", default=[], metavar="NAME", help="only these")
    p.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    p.add_argument("--counts", nargs="+", type=int, default=list(COUNTS), metavar="N")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args(argv)
    config = load_config(a.run / "config.yaml")
    config = replace(config, data=replace(config.data, corrections=None))
    dataset = open_data(config, Path("runs"))
    videos = choose_videos(dataset, a.videos or config.data.videos)
    arguments = ["--config", str(a.run / "config.yaml"), "--executor", "inline"]
    arguments += ["--set", "output.report=false", "--set", "output.submission=false"]
    arguments += ["--members", *a.members] if a.members else []
    arguments += ["--videos", *videos]
    table: dict[str, Mapping[int, float]] = {}
    link_predictions(RunPaths(a.run), RunPaths(a.out / "0"))
    for way in a.ways:
        work = Annotated(way, a.out, dataset, a.counts)
        command.main([*arguments, "--output", str(work.run(0).root)])
        first = {0: truth_of(work.run(0))}
        table[way] = first | annotate(work, videos, arguments, a.seed)
        heads = ["corrections", *map(str, (0, *a.counts))]
        rows = [[w, *(f"{100 * s[n]:.1f}" for n in (0, *a.counts))] for w, s in table.items()]
        print_line(format_table(heads, rows))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
