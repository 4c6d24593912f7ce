"""Ensembles with members made worse on purpose: does the selection still find the best?

    python -m benchmarks.ensembles RUN OUT --degrade cutie=lost xmem=swapped livos=noise
    python -m selection.study OUT --labels Labels

Copies a run that kept its predictions (the folders are linked, not copied) with the masks of
some members spoilt, as confidently as before. Without labels nothing says which. How to spoil:

  lost      every object is empty from a random frame on
  swapped   objects exchange places from a random frame on; a single one is lost
  shifted   masks lie a tenth of the frame aside
  frozen    the first masks, for ever                               (useless)
  noise     a disc anywhere on each frame                           (useless)
  empty     nothing at all                                          (useless)
"""

from __future__ import annotations

import argparse
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml

from adapters.expansion import Expansion
from ensemble.storage.predictions import Prediction, PredictionWriter, StoredFrame
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.errors import InputError, unknown

Spoil = Callable[
    [np.ndarray, int, np.ndarray, tuple[int, ...], int, np.random.Generator], np.ndarray
]
"""(ids, frame index, first ids, objects, frame of the failure, generator) -> ids."""


def lost(ids, index, first, objects, failure, rng):
    return np.zeros_like(ids) if index >= failure else ids


def swapped(ids, index, first, objects, failure, rng):
    if index < failure:
        return ids
    names = np.zeros(256, np.uint8)
    if len(objects) > 1:
        names[list(objects)] = np.roll(objects, 1)
    return names[ids]


def shifted(ids, index, first, objects, failure, rng):
    if index == 0:
        return ids
    move = np.float32([[1, 0, 0.1 * ids.shape[1]], [0, 1, 0.1 * ids.shape[0]]])
    return cv2.warpAffine(ids, move, ids.shape[::-1], flags=cv2.INTER_NEAREST)


def frozen(ids, index, first, objects, failure, rng):
    return first


def noise(ids, index, first, objects, failure, rng):
    if index == 0:
        return ids
    rows, columns = np.mgrid[: ids.shape[0], : ids.shape[1]]
    out = np.zeros_like(ids)
    for object_id in objects:
        y, x = rng.uniform(0, ids.shape[0]), rng.uniform(0, ids.shape[1])
        out[np.hypot(rows - y, columns - x) < 0.12 * min(ids.shape)] = object_id
    return out


def empty(ids, index, first, objects, failure, rng):
    return ids if index == 0 else np.zeros_like(ids)


WAYS: dict[str, Spoil] = {
    "lost": lost, "swapped": swapped, "shifted": shifted,
    "frozen": frozen, "noise": noise, "empty": empty,
}  # fmt: skip


class SpoiltPrediction:
    """A stored prediction as it would be with its masks spoilt, its confidences kept.

    The same ``key`` spoils in the same way, whichever frame is read first.
    """

    def __init__(self, prediction: Prediction, way: str, *key: object):
        self._prediction, self._way = prediction, WAYS[way]
        self._seed = zlib.crc32(repr((prediction.folder.name, *key)).encode())
        self._first = prediction[0].ids
        rng = np.random.default_rng(self._seed)
        self._failure = int(rng.integers(1, max(len(prediction) // 2, 2)))
        self.size, self.manifest = prediction.size, {**prediction.manifest, "spoilt": way}

    def __len__(self) -> int:
        return len(self._prediction)

    def __getitem__(self, index: int) -> StoredFrame:
        frame = self._prediction[index]
        objects = frame.object_ids
        rng = np.random.default_rng([self._seed, index])
        ids = self._way(frame.ids, index, self._first, objects, self._failure, rng)
        seen = np.isin(objects, np.unique(ids)).astype(np.float32)
        labels = Expansion("labels")
        return StoredFrame(index, objects, seen, frame.confidence, ids, labels, ids=ids)


def spoil_prediction(source: Path, target: Path, way: str, key: object) -> None:
    """Write a prediction with the masks of ``source`` spoilt."""
    prediction = Prediction(source)
    spoilt = SpoiltPrediction(prediction, way, key)
    with PredictionWriter(target, *spoilt.size) as writer:
        for index in range(len(spoilt)):
            writer.add(spoilt[index])
        writer.commit(spoilt.manifest)
    prediction.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and write the spoilt run."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.ensembles", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("run", type=Path, help="a run that kept its predictions")
    p.add_argument("out", type=Path, help="folder to make")
    p.add_argument("--degrade", nargs="+", required=True, metavar="MEMBER=WAY")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args(argv)
    if not (a.run / "config.yaml").is_file():
        raise InputError(f"{a.run} is no run folder (no config.yaml): give one")
    config = yaml.safe_load((a.run / "config.yaml").read_text())
    names = [member["name"] for member in config["members"]]
    ways = {}
    for part in a.degrade:
        name, _, way = part.partition("=")
        if name not in names:
            raise unknown("member", name, names, f" of run {a.run}")
        if way not in WAYS:
            raise unknown("way to spoil", way, WAYS)
        ways[name] = way
    for name in names:
        target = a.out / "predictions" / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for source in sorted((a.run / "predictions" / name).iterdir()):
            if name in ways:
                spoil_prediction(source, target / source.name, ways[name], (a.seed, name))
            else:
                os.symlink(source.resolve(), target / source.name)
    (a.out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    print_line(f"{a.out}: {', '.join(f'{name} {way}' for name, way in ways.items())}")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
