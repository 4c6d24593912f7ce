"""The training part of SA-V: movies at 24 frames a second, masks of every fourth frame in JSON.

::

    sav_000/sav_000001.mp4            frames
    sav_000/sav_000001_manual.json    masks that people drew or corrected; "masklet" holds for every
                                      fourth frame a list of run-lengths, one per object
    sav_000/sav_000001_auto.json      masks of a model; they are not read

The folder may be one of them or hold several. Source: sav_dataset/README.md of
facebookresearch/sam2.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mose.boards.board import Board, MaskForm
from mose.boards.sav import STEP, wanted
from mose.masks import write_plane
from stseg.errors import InputError
from stseg.files import Json, appearing
from stseg.text import read_json

if TYPE_CHECKING:
    from pycocotools import mask as coco

DRAWN = "_manual.json"
"""How the names of the files of masks end."""


def mask_files(root: Path) -> Iterator[Path]:
    """The files of masks in a folder and in the folders in it, by name."""
    for pattern in (f"*{DRAWN}", f"*/*{DRAWN}"):
        yield from sorted(root.glob(pattern))


def shown_by(root: Path) -> str | None:
    """A file of masks beside the movie of its name."""
    return next((path.name for path in mask_files(root) if movie_of(path).is_file()), None)


def movie_of(path: Path) -> Path:
    """The movie that a file of masks belongs to."""
    return path.with_name(f"{path.name.removesuffix(DRAWN)}.mp4")


def lay_out(root: Path, target: Path) -> None:
    """Make a data set of the movies in ``root`` in ``target``.

    ``JPEGImages/<video>.mp4`` are links, ``Annotations/<video>/<object>/<frame>.png`` the masks of
    every object from the first that shows it on. A video that is there already stays. `InputError`
    for masks without a movie and for a damaged file.
    """
    for path in mask_files(root):
        movie = movie_of(path)
        if not movie.is_file():
            raise InputError(f"masks {path} have no movie: {movie.name} belongs beside them")
        place = target / "Annotations" / movie.stem
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            with appearing(place) as folder:
                _write_masks(read_json(path, "masks"), path, folder)
        link = target / "JPEGImages" / movie.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            os.symlink(movie.resolve(), link)


def _write_masks(content: Json, path: Path, folder: Path) -> None:
    try:
        size = int(content["video_height"]), int(content["video_width"])
        numbers = [int(number) for number in content["masklet_id"]]
        frames = content["masklet"]
        seen: set[int] = set()
        for index, masks in enumerate(frames):
            for number, mask in zip(numbers, masks, strict=True):
                plane = _plane(mask, size)
                if plane.any() or number in seen:
                    seen.add(number)
                    place = folder / f"{number:03d}" / f"{STEP * index:05d}.png"
                    place.parent.mkdir(exist_ok=True)
                    write_plane(place, plane)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"masks {path} are damaged ({error}): download the file again") from None
    if not seen:
        raise InputError(f"masks {path} show no object: leave the video out")


def _plane(mask: Json, size: tuple[int, int]) -> np.ndarray:
    """``(H, W) bool``: the mask of one object on one frame, at the ``size`` of the movie."""
    if tuple(mask["size"]) != size:
        raise ValueError(f"a mask is {mask['size']}, the movie {list(size)}")
    plane: np.ndarray = _coco().decode(mask).astype(bool)
    return plane


def _coco() -> coco:
    try:
        from pycocotools import mask as api
    except ImportError:
        raise InputError(
            "pycocotools is not installed: run pip install 'stseg[plus]' to read run-lengths"
        ) from None
    return api


BOARD = Board(
    name="sav-train",
    summary="SA-V, the movies and JSON of its training part",
    protocol="sav",
    server="the SA-V evaluator",
    shown_by=shown_by,
    form=MaskForm.PER_OBJECT,
    lay_out=lay_out,
    wanted=wanted,
)
