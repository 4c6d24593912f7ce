"""What settling disputes gains, and which of its steps loses: each step replaced by the truth.

    python -m benchmarks.refinement RUN OUT [--steps asked choice ...] [--budget 0.5]

RUN is a run with labels and without refinement that kept its predictions; nothing in it changes. It
is the first line of the table. In OUT its videos are finished and refined once per step:

  asked        as it is
  choice       the claim nearest to the truth leads back, the others do not
  mask         members are corrected by the true mask, where they would be corrected at all
  propagation  and so they follow: a corrected member is right to the end of the video
  wrong        in 20 % of the disputes the way back of two claims is exchanged

Printed are J&F of the selected masks and of the pseudo-label, J&F-adaptive after reappearing, the
corrections and how many of them gained, and the share of right object-frames that were lost.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble import run as command
from ensemble.config import load_config
from ensemble.plan import choose_videos, open_data
from ensemble.refinement import work
from ensemble.refinement.options import RefinementOptions
from ensemble.refinement.stretch import Stretch, lead_back, mask_of
from ensemble.storage.predictions import PredictionWriter
from mose import Video
from mose.dataset import Dataset
from selection.evaluate.command import evaluate
from selection.evaluate.inputs import EvaluationScope
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.record import read_records
from selection.refined import Dispute
from selection.run_paths import RunPaths
from selection.summary import summarise
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.tables import format_table

SOME = EvaluationScope(partial=True)
RIGHT = 0.5
"""J from which an object-frame of a member is right."""
WRONG_SHARE = 0.2
STEPS = ("asked", "choice", "mask", "propagation", "wrong")


@dataclass(frozen=True)
class Truth:
    """The steps of a refinement as they would be with the labels at hand."""

    dataset: Dataset

    def has(self, video: Video, index: int, object_id: int) -> np.ndarray:
        """``(H, W) bool``: where the object truly is."""
        ids = self.dataset.label_masks(video.name, video)(index)
        assert ids is not None
        return ids == object_id

    def lead_back(self, segmenter, video, dispute, predictions, reference):
        """The mask nearest to the true one leads back, and no other."""
        true = self.has(video, dispute.frame, dispute.object_id)
        masks = [mask_of(told, dispute, predictions) for told in dispute.claims]
        near = [(mask & true).sum() / max((mask | true).sum(), 1) for mask in masks]
        best = int(np.argmax(near))
        back = [float(place == best and near[best] > 0) for place in range(len(masks))]
        led = zip(masks, back, strict=True)
        return dispute.led_back([(b if mask.any() else None, 0.0) for mask, b in led])

    def run_on(self, segmenter, video, prediction, dispute, mask, folder):
        """The member is right from the first disputed frame on."""
        frames = tuple(range(dispute.start, len(video)))
        sure = np.ones(1, np.float32)
        with PredictionWriter(folder, video.height, video.width) as writer:
            for place, index in enumerate(frames):
                ids = np.where(self.has(video, index, dispute.object_id), dispute.object_id, 0)
                labels, ids = Expansion("labels"), ids.astype(np.uint8)
                there = sure * ids.any()
                writer.add(FrameMasks(place, (dispute.object_id,), there, sure, ids, labels))
            writer.commit({})
        return Stretch(dispute.object_id, frames, folder, len(frames))


LED: dict[tuple[str, Dispute], Dispute] = {}
"""What following back gave: it is the same for all steps in which it is as it is."""


def led_back(segmenter, video, dispute, predictions, reference):
    """`lead_back`, once for every dispute."""
    if (video.name, dispute) not in LED:
        led = lead_back(segmenter, video, dispute, predictions, reference)
        LED[video.name, dispute] = led
    return LED[video.name, dispute]


def steps_of(step: str, dataset: Dataset, stack: ExitStack) -> None:
    """Put what ``step`` says in the place of the refinement's own functions."""
    truth, rng = Truth(dataset), np.random.default_rng(0)

    def true_mask(told, dispute, predictions):
        return truth.has(opened[0], dispute.frame, dispute.object_id)

    def sometimes_wrong(*arguments):
        led = led_back(*arguments)
        met = [(told.returned, told.standing) for told in led.claims]
        seen = [place for place, (back, _) in enumerate(met) if back is not None]
        if len(seen) < 2 or rng.random() >= WRONG_SHARE:
            return led
        order = sorted(seen, key=lambda place: met[place][0])
        best, worst = order[-1], order[0]
        met[best], met[worst] = met[worst], met[best]
        return led.led_back(met)

    opened: list[Video] = []

    class WithTruth(work.SettleWorker):
        """Remembers which video it is at."""

        def work(self, video, segmenter, predictions):
            opened[:] = [video]
            super().work(video, segmenter, predictions)

    stack.enter_context(patch.object(work, "lead_back", led_back))
    if step == "choice":
        stack.enter_context(patch.object(work, "lead_back", truth.lead_back))
    if step == "mask":
        stack.enter_context(patch.object(work, "SettleWorker", WithTruth))
        stack.enter_context(patch.object(work, "mask_of", true_mask))
    if step == "propagation":
        stack.enter_context(patch.object(work, "run_on", truth.run_on))
    if step == "wrong":
        stack.enter_context(patch.object(work, "lead_back", sometimes_wrong))


def link_predictions(source: RunPaths, target: RunPaths) -> None:
    """Let a run have the predictions of another one."""
    target.root.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.config, target.config)
    for member in sorted(p.name for p in (source.root / "predictions").iterdir()):
        target.predictions(member).mkdir(parents=True, exist_ok=True)
        for folder in sorted(source.predictions(member).iterdir()):
            place = target.prediction(member, folder.name)
            if not place.is_symlink():
                os.symlink(folder.resolve(), place)


def link_results(source: RunPaths, target: RunPaths, videos: Sequence[str]) -> None:
    """Let a folder have the masks and scores of some videos of a run."""
    kinds = (source.masks, source.record_path, source.evidence_path)
    for path in (kind(name) for name in videos for kind in kinds):
        place = target.root / path.relative_to(source.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            os.symlink(path.resolve(), place)


def scores_of(root: Path, labels: Path, before: RunPaths) -> list[str]:
    """A line of the table."""
    records = read_records(root)
    truth = summarise(records, (), 0.0).truth
    back = evaluate(root / "masks", labels, "mosev2", SOME).mean["J&F_reappear"]
    gains, lost, right = [], 0, 0
    for record in records:
        old = Evidence.load(before.evidence_path(record.video))
        new = Evidence.load(RunPaths(root).evidence_path(record.video))
        rows = [old.candidates.index(name) for name in old.members]
        was, now = old["truth_j"][:, rows] >= RIGHT, new["truth_j"][:, rows] >= RIGHT
        lost, right = lost + int((was & ~now).sum()), right + int(was.sum())
        for dispute in record.disputes:
            column = old.object_ids.index(dispute.object_id)
            for name in dispute.corrected:
                at = slice(dispute.start, None), old.candidates.index(name), column
                gains.append(float(np.nanmean(new["truth_j"][at] - old["truth_j"][at])))
    looked = sum(len(record.disputes) for record in records)
    good = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
    return [
        f"{100 * truth['selected']:.1f}",
        f"{100 * truth[PSEUDO_LABEL]:.1f}",
        "" if back is None else f"{100 * back:.1f}",
        str(looked),
        good,
        f"{100 * np.mean(gains):+.1f}" if gains else "",
        f"{100 * lost / max(right, 1):.2f}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, refine once per step and print a table."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.refinement", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("run", type=Path, help="a run with labels that kept its predictions")
    p.add_argument("out", type=Path, help="folder to make")
    p.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    p.add_argument("--budget", type=float, default=0.5)
    p.add_argument("--rounds", type=int, default=RefinementOptions().rounds)
    p.add_argument("--videos", nargs="+", default=[], metavar="NAME", help="only these")
    a = p.parse_args(argv)
    config = load_config(a.run / "config.yaml")
    dataset = open_data(config, Path("runs"))
    base = ["--config", str(a.run / "config.yaml"), "--executor", "inline", "--keep-soft"]
    base += ["--set", "output.report=false", "--set", "output.submission=false"]
    base += ["--set", f"refinement.budget={a.budget}", "--set", f"refinement.rounds={a.rounds}"]
    labels, before = dataset.labels, RunPaths(a.run)
    assert labels is not None
    videos = choose_videos(dataset, a.videos or config.data.videos)
    link_results(before, RunPaths(a.out / "plain"), videos)
    rows = [["plain", *scores_of(a.out / "plain", labels, before)]]
    for step in a.steps:
        out = RunPaths(a.out / step)
        link_predictions(before, out)
        with ExitStack() as stack:
            steps_of(step, dataset, stack)
            command.main([*base, "--output", str(out.root), "--videos", *videos])
        rows.append([step, *scores_of(out.root, labels, before)])
        heads = ["step", "selected", "pseudo-label", "reappear", "looked", "gained", "by", "lost"]
        print_line(format_table(heads, rows))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
