"""SA-V: frames at 24 a second, a binary mask per object on every fourth of them.

Source: sav_dataset/README.md of facebookresearch/sam2. Its evaluator, which everybody runs, looks
for a mask wherever there is a label.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mose.boards.board import Board, MaskForm
from mose.dataset import Dataset
from mose.readers.folder import list_folder

STEP = 4
"""Frames at 24 a second to a label at 6 a second."""


def shown_by(root: Path) -> str | None:
    """Its names for the folders of frames and of labels."""
    names = ("JPEGImages_24fps", "Annotations_6fps")
    return next((name for name in names if (root / name).is_dir()), None)


def wanted(dataset: Dataset, video: str) -> Collection[str] | None:
    """Every fourth frame; all of a movie, whose frames have no names."""
    if not dataset.frames_of(video).is_dir():
        return None
    numbers = list_folder(dataset.frames_of(video), "frame", video).numbers
    return frozenset(name for name, number in numbers.items() if number % STEP == 0)


BOARD = Board(
    name="sav",
    summary="SA-V",
    protocol="sav",
    server="the SA-V evaluator",
    shown_by=shown_by,
    form=MaskForm.PER_OBJECT,
    wanted=wanted,
)
