"""Masks of object ids in and out of PNG files.

An id mask is ``(height, width) uint8``: 0 is background, 1..254 are object ids (gaps
allowed). On disk it is a palette PNG whose pixel *indices* are the ids. Only Pillow
reads such files without turning ids into colours, so nothing else is used here.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from stseg.errors import InputError
from stseg.files import open_atomic

VOID = 255
"""Pixel value that no object may have; alone with 0 it marks a binary mask."""


def _voc_palette() -> bytes:
    """The PASCAL VOC colour map that DAVIS and MOSE use: 256 RGB triples."""
    index = np.arange(256)
    channels = np.zeros((256, 3), dtype=np.int64)
    for bit in range(8):
        for channel in range(3):
            channels[:, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return channels.astype(np.uint8).tobytes()


PALETTE = _voc_palette()


class MaskError(InputError):
    """A mask file that cannot be used; ``problem`` is "undecodable", "mode" or "binary"."""

    # With a default for each but the message: exceptions travel between processes so.
    def __init__(self, message: str, problem: str = "undecodable"):
        super().__init__(message)
        self.problem = problem

    def __reduce__(self) -> tuple[type[MaskError], tuple[str, str]]:
        return type(self), (str(self), self.problem)  # so that it crosses process borders


def read_mask(path: str | Path, *, binary: bool | None = None) -> np.ndarray:
    """Read an id mask from a file: `decode_mask`; `InputError` also for a missing file."""
    try:
        with open(path, "rb") as file:
            return decode_mask(file, path, binary=binary)
    except FileNotFoundError:
        raise InputError(f"mask {path} does not exist") from None


def decode_mask(file: BinaryIO, name: str | Path, *, binary: bool | None = None) -> np.ndarray:
    """Decode an id mask; ``name`` is what messages call it.

    Accepts palette (``P``) and 8-bit grey (``L``) images. A mask whose only values are
    0 and 255 is a binary mask (DAVIS 2016) and becomes ids 0 and 1; ``binary=False``
    keeps 255 as it is, ``binary=True`` insists on one object: at most one value beside
    0, whatever it is, becomes 1.

    Returns ``(height, width) uint8``. Raises `MaskError` for a file that cannot be
    decoded, an RGB, one-bit or 16-bit image, and for more values than binary masks have.
    """
    try:
        with Image.open(file) as image:
            mode = image.mode
            if mode in ("P", "L"):
                image.load()
                ids = np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise MaskError(
            f"mask {name} cannot be decoded ({_reason(error)}): replace it with a whole PNG",
            "undecodable",
        ) from None
    if mode not in ("P", "L"):
        raise MaskError(
            f"mask {name} has mode {mode}, expected a palette (P) or 8-bit grey (L) PNG"
            " of object ids: convert it without changing the ids",
            "mode",
        )
    if binary is False or (binary is None and ids.max() < VOID):
        return ids
    others = [value for value in values(ids) if value]
    if binary and len(others) > 1:
        raise MaskError(
            f"mask {name} holds {len(others)} values beside 0, expected a binary mask (0 and 255)",
            "binary",
        )
    if binary or others == [VOID]:
        return (ids > 0).astype(np.uint8)
    return ids


def _reason(error: Exception) -> str:
    """Pillow's words without the address of an unnamed stream."""
    unknown_format = isinstance(error, UnidentifiedImageError)
    return "not an image" if unknown_format else str(error) or type(error).__name__


def write_mask(path: str | Path, ids: np.ndarray) -> None:
    """Write ``(height, width) uint8`` ids as a palette PNG, atomically.

    Pillow with run-length compression at level 1: half the time of the default and
    smaller for masks.
    """
    image = Image.fromarray(np.ascontiguousarray(ids, dtype=np.uint8))
    image.putpalette(PALETTE)
    with open_atomic(path) as file:
        image.save(file, format="PNG", compress_level=1, compress_type=3)


def values(ids: np.ndarray) -> list[int]:
    """The pixel values of a ``(H, W) uint8`` mask, ascending."""
    # cv2 counts six times as fast as numpy, which widens every pixel first.
    counts = cv2.calcHist([ids], [0], None, [256], [0, 256])
    return [int(value) for value in np.flatnonzero(counts)]


def object_ids(ids: np.ndarray) -> tuple[int, ...]:
    """The object ids in a mask, ascending, without background and void."""
    return tuple(value for value in values(ids) if 0 < value < VOID)
