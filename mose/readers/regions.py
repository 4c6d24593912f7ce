"""Region files of the VOT toolkit: an object's mask on every frame, as text or in binary.

Source: vot/region/io.py of vot-toolkit 0.9. A line is ``m<x>,<y>,<w>,<h>,<run lengths>`` (row by
row, the first run is of background), ``<x>,<y>,<w>,<h>``, or one number: nothing is known, or a
mark of the toolkit. In binary, a mask is a type 3, two 16-bit offsets, width, height, and the
number of 16-bit runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stseg.errors import InputError

BINARY = struct.pack("<h", 1)
"""The first bytes of a binary file."""

LONGEST_RUN = 255 * 255
"""The toolkit divides longer runs in binary files."""

INITIALISATION = 1
"""The mark of the first frame, on which objects are given."""


@dataclass(frozen=True)
class Region:
    """A part of a frame.

    left, top   of the mask, in pixels
    mask        ``(height, width) bool``
    """

    left: int
    top: int
    mask: np.ndarray

    def plane(self, height: int, width: int) -> np.ndarray:
        """``(height, width) bool``: what of it lies in a frame of this size."""
        out = np.zeros((height, width), dtype=bool)
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = min(self.top + self.mask.shape[0], height)
        right = min(self.left + self.mask.shape[1], width)
        if bottom > top and right > left:
            inside = self.mask[top - self.top : bottom - self.top, left - self.left :]
            out[top:bottom, left:right] = inside[:, : right - left]
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
        raise InputError(
            f"region file {name} is damaged, or holds polygons: expected masks or boxes of the VOT"
            " toolkit, one per frame"
        ) from None


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


def mask_of_runs(runs: Sequence[int], height: int, width: int) -> np.ndarray:
    """The inverse of `run_lengths`, ``(height, width) bool``; `ValueError` where they do not
    fill it."""
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise ValueError("runs of another length than the mask")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)


def _divided(runs: Iterable[int]) -> list[int]:
    divided = []
    for run in runs:
        while run > LONGEST_RUN:
            divided += [LONGEST_RUN, 0]
            run -= LONGEST_RUN
        divided.append(run)
    return divided


def _line(line: str) -> Region | None:
    parts = line.strip().removeprefix("m").split(",")
    if line.startswith("m"):
        left, top, width, height, *runs = map(int, parts)
        return _region(left, top, width, height, runs)
    if len(parts) == 1:
        float(parts[0])
        return None
    left, top, width, height = (round(float(part)) for part in parts)
    return Region(left, top, np.ones((height, width), dtype=bool))


def _region(left: int, top: int, width: int, height: int, runs: Sequence[int]) -> Region:
    if not width or not height:
        return Region(0, 0, np.zeros((0, 0), dtype=bool))
    return Region(left, top, mask_of_runs(runs, height, width))


def _binary(data: bytes) -> Trajectory:
    (count,) = struct.unpack_from("<I", data, len(BINARY))
    at = len(BINARY) + 4
    regions: Trajectory = []
    for _ in range(count):
        kind = data[at]
        if kind == 0:
            regions.append(None)
            at += 5
        elif kind == 1:
            left, top, width, height = map(round, struct.unpack_from("<ffff", data, at + 1))
            regions.append(Region(left, top, np.ones((height, width), dtype=bool)))
            at += 17
        elif kind == 3:
            left, top, width, height, runs = struct.unpack_from("<hhHHH", data, at + 1)
            at += 11
            regions.append(_region(left, top, width, height,
                                   struct.unpack_from(f"<{runs}H", data, at)))  # fmt: skip
            at += 2 * runs
        else:
            raise ValueError(f"region of kind {kind}")
    return regions
