"""Masks of object ids in and out of PNG files.

Reading and its rules are `mose.readers.masks`, what the values mean `mose.readers.meaning`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mose.palette import PALETTE, VOID, object_ids, values
from mose.readers.masks import MaskError, decode_mask, read_mask
from stseg.files import open_atomic

__all__ = [
    "PALETTE",
    "VOID",
    "MaskError",
    "decode_mask",
    "object_ids",
    "read_mask",
    "values",
    "write_mask",
]


def write_mask(path: str | Path, ids: np.ndarray) -> None:
    """Write ``(height, width) uint8`` ids as a palette PNG, atomically.

    Pillow with run-length compression at level 1: half the time of the default and
    smaller for masks.
    """
    image = Image.fromarray(np.ascontiguousarray(ids, dtype=np.uint8))
    image.putpalette(PALETTE)
    with open_atomic(path) as file:
        image.save(file, format="PNG", compress_level=1, compress_type=3)
