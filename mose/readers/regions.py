"""Region files of the VOT toolkit: an object's mask on every frame, as text or in binary.

Source: vot/region/io.py of vot-toolkit 0.9. A line is ``m<x>,<y>,<w>,<h>,<run lengths>`` (row by
row, the first run is of background), ``<x>,<y>,<w>,<h>``, or one number: nothing is known, or a
mark of the toolkit. In binary, a mask is a type 3, two 16-bit offsets, width, height, and the
number of 16-bit runs.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stseg.errors import InputError

BINARY = struct.pack("<h", 1)
"""The first bytes of a binary file."""

LONGEST_RUN = 255 * 255
"""The toolkit divides longer runs in binary files."""

MARK, BOX, MASK = 0, 1, 3
"""Kinds of records in binary files."""

INITIALISATION = 1
"""The mark of the first frame, on which objects are given."""


@dataclass(frozen=True)
class Region:
    """A part of a frame. A sequence may have thousands, so its pixels are made when asked for.

    left, top       of its mask, in pixels
    width, height   of its mask
    runs            ``(R,)`` lengths of the runs of the mask, see `run_lengths`
    """

    left: int
    top: int
    width: int
    height: int
    runs: np.ndarray

    def inside(self, height: int, width: int) -> tuple[int, int, np.ndarray]:
        """What of it lies in a frame of this size: top, left, and the mask ``(h, w) bool`` there;
        h or w is 0 where nothing does."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = max(min(self.top + self.height, height), top)
        right = max(min(self.left + self.width, width), left)
        mask = mask_of_runs(self.runs, self.height, self.width)
        rows = slice(top - self.top, bottom - self.top)
        return top, left, mask[rows, left - self.left : right - self.left]

    def plane(self, height: int, width: int) -> np.ndarray:
        """``(height, width) bool``: what of it lies in a frame of this size."""
        out = np.zeros((height, width), dtype=bool)
        top, left, mask = self.inside(height, width)
        out[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return out


Trajectory = list[Region | None]
"""The region of every frame; None where the file has a mark in its place."""


def read_trajectory(path: str | Path) -> Trajectory:
    """A region file; `InputError` where it is missing or damaged."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"region file {path} cannot be read ({error.strerror})") from None
    return parse_trajectory(data, str(path))


def parse_trajectory(data: bytes, name: str) -> Trajectory:
    """The regions in the content of a file; ``name`` is what messages call it."""
    try:
        if data.startswith(BINARY):
            return _binary(data)
        return [_line(line) for line in data.decode("ascii").splitlines()]
    except (ValueError, IndexError, struct.error, UnicodeDecodeError):
        raise _damaged(name) from None


def known_frames(data: bytes, name: str) -> list[bool]:
    """As `parse_trajectory`: whether there is a region, frame by frame. Looks at no pixel."""
    try:
        if data.startswith(BINARY):
            return [data[at] != 0 for at in _records(data)]
        return ["," in line for line in data.decode("ascii").splitlines()]
    except (IndexError, ValueError, struct.error, UnicodeDecodeError):
        raise _damaged(name) from None


def _damaged(name: str) -> InputError:
    return InputError(
        f"region file {name} is damaged, or holds polygons: expected masks or boxes of the VOT"
        " toolkit, one per frame"
    )


def trajectory_bytes(masks: Iterable[np.ndarray | None]) -> bytes:
    """A binary region file of ``(H, W) bool`` masks; None becomes the mark of the first
    frame, on which objects are given. Masks are cropped to their box, as the toolkit does."""
    records = []
    for mask in masks:
        if mask is None:
            records.append(struct.pack("<BI", 0, INITIALISATION))
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            records.append(struct.pack("<BhhHHHH", 3, 0, 0, 0, 0, 1, 0))
            continue
        top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        runs = _divided(run_lengths(mask[top:bottom, left:right]))
        head = struct.pack("<BhhHHH", 3, left, top, right - left, bottom - top, len(runs))
        records.append(head + struct.pack(f"<{len(runs)}H", *runs))
    return BINARY + struct.pack("<I", len(records)) + b"".join(records)


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of a ``(h, w) bool`` mask, row by row; the first one is of zeros."""
    flat = mask.ravel()
    if not flat.size:
        return [0]
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


def mask_of_runs(runs: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray:
    """The inverse of `run_lengths`, ``(height, width) bool``; `ValueError` where they do not
    fill it."""
    lengths = _filling(runs, height, width)
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(height, width)


def _filling(runs: Sequence[int] | np.ndarray, height: int, width: int) -> np.ndarray:
    """``(R,) int64`` runs; `ValueError` where they do not fill a mask of this size."""
    lengths = np.asarray(runs, np.int64)
    if lengths.sum() != height * width or lengths.min(initial=0) < 0:
        raise ValueError("runs of another length than the mask")
    return lengths


def _divided(runs: Iterable[int]) -> list[int]:
    divided = []
    for run in runs:
        while run > LONGEST_RUN:
            divided += [LONGEST_RUN, 0]
            run -= LONGEST_RUN
        divided.append(run)
    return divided


def _line(line: str) -> Region | None:
    if line.startswith("m"):
        numbers = _integers(line[1:].strip())
        left, top, width, height = numbers[:4].tolist()
        return _region(left, top, width, height, numbers[4:])
    sides = [float(part) for part in line.split(",")]
    if len(sides) == 1:
        return None
    x, y, w, h = sides
    return _box(x, y, w, h)


def _integers(text: str) -> np.ndarray:
    """``(N,) int64`` numbers with commas between; `ValueError` where they are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what numpy says of a text that it leaves in the middle
        try:
            numbers = np.fromstring(text, np.int64, sep=",")
        except DeprecationWarning as error:
            raise ValueError(str(error)) from None
    if len(numbers) != text.count(",") + 1:
        raise ValueError("no list of integers")
    return numbers


def _box(left: float, top: float, width: float, height: float) -> Region:
    sides = round(left), round(top), round(width), round(height)
    return _region(*sides, [0, sides[2] * sides[3]])


def _region(
    left: int, top: int, width: int, height: int, runs: Sequence[int] | np.ndarray
) -> Region:
    if not width or not height:
        return Region(0, 0, 0, 0, np.zeros(1, np.uint32))
    return Region(left, top, width, height, _filling(runs, height, width).astype(np.uint32))


def _records(data: bytes) -> Iterator[int]:
    """Where the record of every frame begins in a binary file."""
    (count,) = struct.unpack_from("<I", data, len(BINARY))
    at = len(BINARY) + 4
    for _ in range(count):
        yield at
        kind = data[at]
        if kind == MASK:
            (runs,) = struct.unpack_from("<H", data, at + 9)
            at += 11 + 2 * runs
        elif kind in (MARK, BOX):
            at += 5 if kind == MARK else 17
        else:
            raise ValueError(f"region of kind {kind}")


def _binary(data: bytes) -> Trajectory:
    regions: Trajectory = []
    for at in _records(data):
        if data[at] == MARK:
            regions.append(None)
        elif data[at] == BOX:
            regions.append(_box(*struct.unpack_from("<ffff", data, at + 1)))
        else:
            left, top, width, height, runs = struct.unpack_from("<hhHHH", data, at + 1)
            lengths = np.frombuffer(data, "<u2", runs, at + 11)
            regions.append(_region(left, top, width, height, lengths))
    return regions
