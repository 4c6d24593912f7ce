"""A small procedural video, written as the files of a data set.

It is made so that a mistake shows: red is much brighter than blue, every frame is brighter than the
one before, names have one and two digits, and object ids have gaps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mose import Video, open_video
from mose.masks import write_mask

HEIGHT, WIDTH = 120, 200
FIRST, FRAMES = 8, 5
"""The number in the first frame's name, and how many there are: 8 and 9 come before 10 to 12,
and after them where names are sorted as text."""

IDS = (3, 7, 20)
LEVELS = (170.0, 110.0, 60.0)
"""Of red, green and blue on the first frame."""

BRIGHTER = 8.0
"""Levels from one frame to the next: ten times what a JPEG changes of a frame's mean."""


def text_order() -> list[int]:
    """The frames' places when their names are sorted as text."""
    names = [str(FIRST + index) for index in range(FRAMES)]
    return [names.index(name) for name in sorted(names)]


def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame ``(H, W, 3) uint8`` of discs that move over waves, and its ids ``(H, W) uint8``."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    waves = np.stack(
        [20 * np.sin(rows / (7 + channel) + columns / (11 - channel)) for channel in range(3)], -1
    )
    picture = np.asarray(LEVELS) + BRIGHTER * index + waves
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, object_id in enumerate(IDS):
        row, column = 30 + 30 * number, 45 + 50 * number + 4 * index
        inside = np.hypot(rows - row, columns - column) < 14 + 3 * number
        picture[inside] += 40 - 45 * number
        ids[inside] = object_id
    return picture.clip(0, 255).astype(np.uint8), ids


def write(folder: Path) -> Video:
    """Write the clip as ``JPEGImages/clip`` and ``Annotations/clip``, and open it."""
    images, masks = folder / "JPEGImages" / "clip", folder / "Annotations" / "clip"
    for part in (images, masks):
        part.mkdir(parents=True)
    for index in range(FRAMES):
        picture, ids = draw(index)
        Image.fromarray(picture).save(images / f"{FIRST + index}.jpg", quality=95)
        if index == 0:
            write_mask(masks / f"{FIRST}.png", ids)
    return open_video(images, masks)
