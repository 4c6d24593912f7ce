"""What it brings to start from whole masks where the first masks of objects overlap.

    python -m benchmarks.whole_masks CLIPS/davis2016-train --clips bear car-turn hockey

No data set with overlapping objects ships, so one is made: the object of a clip, and its upper half
as a second object in front of it. Every third frame, eight in all, 240 x 424. Printed is J of the
first object by itself (as under ``output.overlap``) after the first frame: of a network that starts
from exclusive masks, from whole ones, and with the object alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

import adapters
from adapters.base import FrameMasks
from ensemble.fusion.overlap import alone
from ensemble.storage.predictions import StoredFrame
from mose import Video
from mose.masks import read_mask
from mose.prompts import Prompts
from mose.video import read_frame

SIZE = (240, 424)
MODELS = ("sam2", "xmem", "cutie", "livos")


def stored(frame: FrameMasks) -> StoredFrame:
    """A frame as fusion reads it, without the rounding of storage."""
    return StoredFrame(
        frame.index,
        frame.object_ids,
        frame.presence,
        frame.confidence,
        frame.native,
        frame.expansion,
        frame.labels(*SIZE),
    )


def starts(images: np.ndarray, first: np.ndarray, name: str) -> dict[str, Video]:
    """The video with exclusive masks, with whole ones, and with the first object alone."""
    rows = np.flatnonzero(first.any(axis=1))
    ids = first.astype(np.uint8)
    ids[: (rows[0] + rows[-1]) // 2] *= 2
    whole = Video.from_arrays(images, {0: ids}, name).with_overlap()
    whole.prompts = Prompts({0: ids}, whole={0: {1: first}})
    return {
        "exclusive": Video.from_arrays(images, {0: ids}, name),
        "whole": whole,
        "alone": Video.from_arrays(images, {0: first.astype(np.uint8)}, name),
    }


def score(segmenter: adapters.Segmenter, video: Video, truth: list[np.ndarray]) -> float:
    found = []
    for frame in segmenter.segment(video):
        mask = alone(stored(frame), 1, SIZE).ids == 1
        true = truth[frame.index]
        found.append((mask & true).sum() / max((mask | true).sum(), 1))
    return float(np.mean(found[1:]))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("root", type=Path)
    p.add_argument("--clips", nargs="+", required=True)
    p.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    p.add_argument("--frames", type=int, default=8)
    p.add_argument("--step", type=int, default=3)
    options = p.parse_args()
    for model in options.models:
        segmenter = adapters.load(model, f"demo-{model}", "cpu")
        rows = []
        for name in options.clips:
            frames, masks = (
                sorted((options.root / kind / name).iterdir())[
                    : options.frames * options.step : options.step
                ]
                for kind in ("JPEGImages", "Annotations")
            )
            area, nearest = cv2.INTER_AREA, cv2.INTER_NEAREST
            images = np.stack(
                [cv2.resize(read_frame(f), SIZE[::-1], interpolation=area) for f in frames]
            )
            truth = [cv2.resize(read_mask(m), SIZE[::-1], interpolation=nearest) > 0 for m in masks]
            videos = starts(images, truth[0], name)
            rows.append({kind: score(segmenter, v, truth) for kind, v in videos.items()})
        means = {kind: 100 * np.mean([row[kind] for row in rows]) for kind in rows[0]}
        print(model, *(f"{kind} {mean:.1f}" for kind, mean in means.items()), flush=True)


if __name__ == "__main__":
    main()
