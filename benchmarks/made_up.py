"""Members made up from labels, by errors of known kinds: an ensemble to study without networks.

    python -m benchmarks.made_up DATASET OUT --split test --labels Labels --videos 20
    python -m selection.study OUT --labels Labels

Writes a run folder with stored predictions of five members. Each wanders around the true
outlines (how far is drawn per video), and now and then fails on an object: loses it, stays where
it was, or follows another one, until it finds it again. Confidence follows the true IoU, with
noise, and some members boast. Their errors are independent of each other, which those of real
networks are not: what such an ensemble shows is that the machinery works, not what it is worth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from ensemble.storage.predictions import PredictionWriter
from mose.dataset import Dataset, open_dataset
from mose.masks import read_mask
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.errors import InputError
from stseg.progress import progress


@dataclass(frozen=True)
class MadeUp:
    """A member: pixels that outlines wander, failures per frame and object, how it boasts
    (1: its confidence reaches 1 where it is right), and the prior it is given."""

    wander: float
    failures: float
    boast: float
    prior: float


MEMBERS = {
    "a": MadeUp(1.5, 0.010, 0.90, 70.0),
    "b": MadeUp(1.8, 0.012, 0.95, 68.0),
    "c": MadeUp(2.5, 0.018, 0.80, 62.0),
    "d": MadeUp(3.0, 0.020, 0.90, 58.0),
    "e": MadeUp(4.0, 0.030, 1.00, 50.0),
}
RECOVERS = 0.03
"""Chance, per frame, that a member that failed on an object finds it again."""


class Failures:
    """What has gone wrong for one member on one video."""

    def __init__(self, rng: np.random.Generator, rate: float):
        self._rng, self._rate = rng, rate
        self._now: dict[int, tuple[str, np.ndarray]] = {}

    def mask(
        self, ids: np.ndarray, object_id: int, others: list[int], may_fail: bool
    ) -> np.ndarray:
        """``(H, W) bool``: where the member sees the object of the true ``ids``."""
        true = ids == object_id
        if object_id not in self._now and may_fail and self._rng.random() < self._rate:
            kind = self._rng.choice(["lost", "stays", "other"], p=[0.5, 0.25, 0.25])
            self._now[object_id] = (str(kind), true)
        elif object_id in self._now and self._rng.random() < RECOVERS:
            del self._now[object_id]
        if object_id not in self._now:
            return true
        kind, last = self._now[object_id]
        if kind == "lost":
            return np.zeros_like(true)
        return ids == others[0] if kind == "other" and others else last


def predict(dataset: Dataset, name: str, out: Path, member: MadeUp, seed: list[int]) -> None:
    """Store the prediction of one made-up member."""
    rng = np.random.default_rng(seed)
    video = dataset.video(name)
    height, width = video.height, video.width
    wander = member.wander * np.exp(rng.normal(0, 0.5))
    failures = Failures(rng, member.failures * np.exp(rng.normal(0, 1)))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    coarse = (height // 8 + 1, width // 8 + 1, 2)
    field = np.zeros((height, width, 2), np.float32)
    known: tuple[int, ...] = ()
    with PredictionWriter(out, height, width) as writer:
        for index, stem in enumerate(video.frame_names):
            ids = read_mask(dataset.labels_folder(name) / f"{stem}.png")
            known = tuple(sorted({*known, *video.prompts.ids(index)}))
            draw = cv2.GaussianBlur(rng.normal(size=coarse).astype(np.float32), (0, 0), 1.5)
            field = 0.7 * field + 0.3 * cv2.resize(draw * np.float32(8 * wander), (width, height))
            planes, confidence = [], []
            for object_id in known:
                others = [i for i in known if i != object_id]
                mask = failures.mask(ids, object_id, others, index not in video.prompts)
                plane = cv2.remap(mask.astype(np.float32), columns + field[..., 0],
                                  rows + field[..., 1], cv2.INTER_LINEAR)  # fmt: skip
                plane = cv2.GaussianBlur(plane, (0, 0), 1.2)
                found, true = plane > 0.5, ids == object_id
                union = (found | true).sum()
                iou = (found & true).sum() / union if union else 1.0
                said = member.boast * (0.5 + 0.4 * iou) + rng.normal(0, 0.1)
                planes.append(plane)
                confidence.append(np.clip(said, 0.02, 1))
            native = np.asarray(planes, np.float32).reshape(-1, height, width)
            native = native / np.maximum(native.sum(axis=0), 1)
            presence = native.reshape(len(known), -1).max(axis=1, initial=0).astype(np.float32)
            writer.add(FrameMasks(index, known, presence, np.asarray(confidence, np.float32),
                                  native, Expansion("probability")))  # fmt: skip
        writer.commit({"key": "made up", "video": name})


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and write the run folder."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.made_up", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("dataset")
    p.add_argument("out", type=Path, help="run folder to make")
    p.add_argument("--split", default="test")
    p.add_argument("--labels", default="Labels")
    p.add_argument("--videos", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args(argv)
    if a.videos < 1:
        raise InputError(f"--videos is {a.videos}, expected at least 1")
    cv2.setNumThreads(1)
    dataset = open_dataset(a.dataset, a.split, labels=a.labels)
    names = list(dataset.videos)[: a.videos]
    for k, name in enumerate(progress(names, len(names), "videos")):
        for m, (member, how) in enumerate(MEMBERS.items()):
            target = a.out / "predictions" / member / name
            if not (target / "manifest.json").is_file():
                predict(dataset, name, target, how, [a.seed, k, m])
    config = {
        "data": {
            "dataset": str(Path(a.dataset).resolve()), "split": a.split, "labels": a.labels,
            "videos": names,
        },
        "members": [
            {"name": name, "adapter": "hold", "prior": how.prior} for name, how in MEMBERS.items()
        ],
        "output": {"keep_soft": True},
    }  # fmt: skip
    (a.out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    print_line(f"{a.out}: {len(names)} videos, {len(MEMBERS)} made-up members")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
