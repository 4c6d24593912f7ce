"""VOTS: a folder per sequence, and of every object a file with its region on each frame.

::

    list.txt                            names of the sequences
    <video>/sequence                    width, height and where the frames are
    <video>/color/00000001.jpg          frames
    <video>/groundtruth_<object>.txt    regions; of a test set, that of the first frame alone

Source: vot/dataset/common.py, vot/experiment/multirun.py and vot/utilities/cli.py (``vot pack``) of
vot-toolkit 0.9. What it packs is ``baseline/<video>/<video>_<object>_001.bin`` and
``manifest.yml``; of a sequence with one object, ``<video>_001.bin``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mose.boards.board import Board, MaskForm
from mose.masks import write_mask
from mose.readers.images import image_size
from mose.readers.lists import read_lines, read_names
from mose.readers.regions import Trajectory, read_trajectory
from stseg.errors import InputError
from stseg.files import write_json
from stseg.text import read_json

LIST, SEQUENCE = "list.txt", "sequence"
TRUTH = "groundtruth"
NAMES = "objects.json"
"""In a data set that `lay_out` made: video -> object id -> the object's name."""

IGNORED = "_ignore"
"""Name of the object whose pixels do not count."""


def shown_by(root: Path) -> str | None:
    """A list of sequences, of which the first has its description."""
    for place in (root, root / "sequences"):
        if (place / LIST).is_file():
            names = read_names(place / LIST).matched(_folders(place)).names
            if names and (place / names[0] / SEQUENCE).is_file():
                return LIST
    return None


def sequences(root: Path) -> dict[str, Path]:
    """Name -> folder of every sequence of a data set or of a workspace of the toolkit."""
    place = root if (root / LIST).is_file() else root / "sequences"
    listed = read_names(place / LIST, "list of sequences").matched(_folders(place))
    folders = {name: place / name for name in (*listed.names, *listed.nowhere)}
    for name, folder in folders.items():
        if not (folder / SEQUENCE).is_file():
            raise InputError(
                f"sequence {name} of {place / LIST} is not whole: {folder / SEQUENCE} is missing,"
                " download the data set again"
            )
    return folders


def _folders(place: Path) -> list[str]:
    return [entry.name for entry in place.iterdir() if entry.is_dir()]


def object_files(folder: Path) -> dict[int, Path]:
    """Object id -> region file of a sequence: the number in its name, else its place."""
    paths = sorted(folder.glob(f"{TRUTH}_*.txt")) or sorted(folder.glob(f"{TRUTH}.txt"))
    files = {object_name(path): path for path in paths if object_name(path) != IGNORED}
    if not files:
        raise InputError(f"sequence {folder.name} has no object: expected {folder}/{TRUTH}_1.txt")
    if all(name.isdecimal() and 0 < int(name) < 255 for name in files):
        return {int(name): files[name] for name in sorted(files, key=int)}
    return dict(enumerate(files.values(), 1))


def object_name(path: Path) -> str:
    """The name of the object whose regions a file holds."""
    return path.stem.removeprefix(TRUTH).removeprefix("_") if "_" in path.stem else "object"


def frames_folder(folder: Path) -> Path:
    """Where the frames of a sequence are."""
    for line in read_lines(folder / SEQUENCE, "description"):
        key, _, value = line.partition("=")
        if key.strip() == "channels.color":
            path = folder / value.strip().replace("\\", "/")
            return path.parent if path.suffix else path
    return folder / "color"


def frame_size(folder: Path) -> tuple[int, int]:
    """(height, width) of the frames of a sequence."""
    first = next(iter(sorted(frames_folder(folder).glob("*.*"))), None)
    if first is None:
        raise InputError(f"sequence {folder.name} has no frames: expected {folder}/color/*.jpg")
    return image_size(first)


def lay_out(root: Path, target: Path) -> None:
    """Make a data set of folders of masks in ``target`` of the sequences in ``root``.

    ``JPEGImages/<video>`` are links, ``Annotations/<video>/<object>/<frame>.png`` the first region
    of every object, ``objects.json`` its name. What is there already stays.
    """
    names_of: dict[str, dict[str, str]] = {}
    for name, folder in sequences(root).items():
        frames = frames_folder(folder)
        names = sorted(path.stem for path in frames.glob("*.*"))
        link = target / "JPEGImages" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            os.symlink(frames.resolve(), link)
        size = frame_size(folder)
        files = object_files(folder)
        names_of[name] = {str(i): object_name(path) for i, path in files.items()}
        for object_id, path in files.items():
            first = list(first_region(read_trajectory(path), size))
            if not first:
                raise InputError(
                    f"object {object_name(path)} of sequence {name} has no first mask: {path} holds"
                    " no region, download the data set again"
                )
            for index, plane in first:
                place = target / "Annotations" / name / f"{object_id:03d}" / f"{names[index]}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():
                    write_mask(place, plane.astype(np.uint8))
    write_json(target / NAMES, names_of)


def region_file(root: Path, video: str, object_id: int) -> str:
    """Where the toolkit packs the regions of an object of a data set that `lay_out` made."""
    try:
        names = read_json(root / NAMES)[video]
        name = names[str(object_id)]
    except (KeyError, TypeError):
        raise InputError(f"{root / NAMES} says nothing of object {object_id} of {video}") from None
    return packed_name(video, name, len(names))


def packed_name(video: str, name: str, objects: int) -> str:
    """As `region_file`, for an object of this name beside others."""
    own = f"{video}_{name}" if objects > 1 else video
    return f"baseline/{video}/{own}_001.bin"


def first_region(regions: Trajectory, size: tuple[int, int]) -> Iterator[tuple[int, np.ndarray]]:
    """Index and ``(H, W) bool`` mask of the first frame that shows an object, if there is one."""
    for index, region in enumerate(regions):
        plane = None if region is None else region.plane(*size)
        if plane is not None and plane.any():
            yield index, plane
            return


BOARD = Board(
    name="vots",
    summary="VOTS, in the layout of the VOT toolkit",
    protocol="vots",
    server="the VOT toolkit",
    shown_by=shown_by,
    form=MaskForm.REGIONS,
    lay_out=lay_out,
)
