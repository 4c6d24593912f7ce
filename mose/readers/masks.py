"""Decodes masks, and tells masks of object ids from pictures that only look like them.

An id mask is ``(height, width) uint8``: 0 is background, 1..254 are object ids (gaps
allowed), 255 is `MaskMeaning`'s to say. On disk it is a palette PNG whose pixel *indices* are
the ids. Only Pillow reads such files without turning ids into colours, so nothing else is
used here.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from mose.palette import PALETTE, VOID, values
from mose.readers.images import opened, orientation
from stseg.errors import InputError

PNG_START = b"\x89PNG\r\n\x1a\n"
LOSSLESS = ("PNG", "BMP", "TIFF")
"""Formats whose pixels come back as they were saved. GIF is none: its writers renumber the indices
to those that are used. PNG alone has checksums: a bit that flipped in a BMP or an uncompressed TIFF
gives another mask, and nothing can tell."""
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
"""Compressions of TIFF that change pixels, as Pillow calls them."""
MANY_VALUES = 3
"""Of so many values on edges only, no mask of ids has been seen; smoothed ones have dozens."""
STRETCHED = 16
"""Masks of more objects than this are not stretched: their ids would be hard to tell apart."""
SMALLEST_SIDE = 16
"""Pixels. On smaller masks every area is an edge."""
EDGE_SHARE = 0.5
"""Share of a mask's values that lie on edges only, from which on they are no ids."""


class MaskError(InputError):
    """A mask file that cannot be used; ``problem`` is "undecodable", "mode", "binary" or "ids"."""

    # With a default for each but the message: exceptions travel between processes so.
    def __init__(self, message: str, problem: str = "undecodable"):
        super().__init__(message)
        self.problem = problem

    def __reduce__(self) -> tuple[type[MaskError], tuple[str, str]]:
        return type(self), (str(self), self.problem)  # so that it crosses process borders


def read_mask(
    path: str | Path, *, binary: bool = False, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Read a mask from a file: `decode_mask`; `InputError` also for a missing file."""
    try:
        with open(path, "rb") as file:
            return decode_mask(file, path, binary=binary, size=size)
    except FileNotFoundError:
        raise InputError(f"mask {path} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"mask {path} is a folder: put a PNG there") from None


def decode_mask(
    file: BinaryIO,
    name: str | Path,
    *,
    binary: bool = False,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Decode a mask; ``name`` is what messages call it.

    Accepts palette (``P``) and grey (``L``) images of up to 8 bits without loss. The values
    come back as they are stored, those of 2 and 4 bits too; ``binary`` insists on one object:
    at most one value beside 0, whatever it is, becomes 1. With a ``size`` (height, width) the
    nearest pixel of each there is taken, for half of the work.

    Returns ``(height, width) uint8``. Raises `MaskError` for a file that cannot be decoded,
    JPEG content, an RGB, one-bit or 16-bit image, a palette that was made from colours, and
    for more values than binary masks have.
    """
    data = file.read()
    _check_sums(data, name)
    try:
        with opened(io.BytesIO(data), name, "mask") as image:
            mode, kind = image.mode, image.format or ""
            if kind == "TIFF" and image.info.get("compression") in LOSSY_TIFF:
                kind = f"TIFF with {image.info['compression']} compression, a lossy"
            bits = _bits(image)
            palette = b""
            turned = 1
            if mode in ("P", "L"):
                image.load()
                palette = bytes(image.getpalette() or ()) if mode == "P" else b""
                turned = orientation(image) if "exif" in image.info else 1
                small = (
                    image if size is None else image.resize(size[::-1], Image.Resampling.NEAREST)
                )
                ids = np.array(small)
    except MaskError:
        raise
    except InputError as error:
        raise MaskError(str(error), "undecodable") from None
    _check_kind(mode, kind, turned, name)
    if mode == "L" and bits in (2, 4):
        ids = ids // np.uint8(VOID // ((1 << bits) - 1))  # Pillow stretches them over 8
    if palette:
        _check_palette(ids, palette, name)
    if not binary:
        return ids
    others = [value for value in values(ids) if value]
    if len(others) > 1:
        raise MaskError(
            f"mask {name} holds {len(others)} values beside 0, expected a binary mask (0 and 255)",
            "binary",
        )
    return ids if others in ([], [1]) else (ids > 0).view(np.uint8)


def _check_sums(data: bytes, name: str | Path) -> None:
    """`MaskError` where a chunk of a PNG is not what its checksum says: Pillow leaves those of
    the pixels out, and a flipped bit there gives other ids without a word."""
    at = len(PNG_START)
    while data.startswith(PNG_START) and at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 8 + size
        if end + 4 > len(data):
            return  # cut off, which the decoder tells
        (said,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(memoryview(data)[at + 4 : end]) != said:
            raise MaskError(
                f"mask {name} cannot be decoded (a checksum is wrong): replace it with a whole PNG"
            )
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end + 4


def _check_kind(mode: str, kind: str, turned: int, name: str | Path) -> None:
    if kind not in LOSSLESS:
        raise MaskError(
            f"mask {name} is a {kind} image, which does not keep ids: save the mask as a PNG",
            "mode",
        )
    if mode not in ("P", "L"):
        raise MaskError(
            f"mask {name} has mode {mode}, expected a palette (P) or 8-bit grey (L) PNG"
            " of object ids: convert it without changing the ids",
            "mode",
        )
    if turned != 1:
        raise MaskError(
            f"mask {name} has an orientation tag ({turned}): save it upright, without the tag",
            "mode",
        )


def _bits(image: Image.Image) -> int:
    """Bits of a pixel of a grey PNG."""
    tiles = getattr(image, "tile", None)
    raw = str(tiles[0][3] if tiles else "")
    return {"L;2": 2, "L;4": 4}.get(raw, 8)


def _check_palette(ids: np.ndarray, palette: bytes, name: str | Path) -> None:
    """`MaskError` where indices are no ids but what a program made of colours."""
    if palette == PALETTE[: len(palette)]:
        return
    colours = [palette[k : k + 3] for k in range(0, len(palette), 3)]
    present = values(ids)
    if palette == _web_palette()[: len(palette)] and max(present) >= 10:
        raise MaskError(
            f"mask {name} has the web palette that programs give to RGB images: its indices are"
            " no ids, write the ids themselves as indices",
            "ids",
        )
    known = {PALETTE[3 * i : 3 * i + 3]: i for i in range(256)}
    meant = {v: known.get(colours[v]) for v in present if v < len(colours)}
    others = {v: i for v, i in meant.items() if i is not None and i != v}
    if (
        all(i is not None for i in meant.values())
        and others
        and len(set(meant.values())) == len(meant)
    ):
        value, colour = next(iter(others.items()))
        raise MaskError(
            f"mask {name} has a palette of its own: value {value} has the colour of id {colour},"
            " so its values are no ids; write the ids themselves as indices",
            "ids",
        )
    border = np.concatenate([ids[0], ids[-1], ids[:, 0], ids[:, -1]])
    most = int(np.bincount(border, minlength=256).argmax())
    if colours[0] != b"\0\0\0" and most and most < len(colours) and colours[most] == b"\0\0\0":
        raise MaskError(
            f"mask {name} has a palette whose entry 0 is not black, and its background has the"
            f" value {most}: its values are no ids; write the ids themselves as indices",
            "ids",
        )


@lru_cache(maxsize=1)
def _web_palette() -> bytes:
    """What Pillow gives an RGB image that is turned into a palette one."""
    return bytes(Image.new("RGB", (1, 1)).convert("P").getpalette() or ())


def evidence_against_ids(ids: np.ndarray, present: list[int] | None = None) -> str | None:
    """What shows that the values of a ``(H, W) uint8`` mask are no object ids; None if nothing.

    Smoothed and compressed masks have many values on the edges of few areas: a value is on
    edges only where none of its pixels is surrounded by its own kind. Masks that were stretched
    to be looked at have values at equal distances up to 255.
    """
    present = values(ids) if present is None else present
    others = [value for value in present if value]
    if min(ids.shape) < SMALLEST_SIDE:
        return None
    stretched = VOID in others and 1 < len(others) <= STRETCHED and _equally_spaced(others)
    if stretched:
        return f"its values {_listed(present)} are ids stretched to 0..255 or a smoothed edge"
    if (len(others) <= MANY_VALUES and VOID not in others) or len(others) < 3:
        return None
    square = np.ones((3, 3), np.uint8)
    inside = cv2.erode(ids, square) == cv2.dilate(ids, square)
    solid = set(values(ids[inside][None])) if inside.any() else set()
    thin = [value for value in others if value not in solid]
    many = len(thin) >= MANY_VALUES or (VOID in others and len(thin) == len(others) - 1)
    if not many or len(thin) < EDGE_SHARE * len(others):
        return None
    return f"{len(others)} values, {len(thin)} of them on edges only"


def _equally_spaced(others: list[int]) -> bool:
    steps = len(others)
    return all(abs(value - VOID * (n + 1) / steps) <= 1 for n, value in enumerate(others))


def _listed(present: list[int]) -> str:
    return ", ".join(map(str, present[:8])) + (", ..." if len(present) > 8 else "")


def check_ids(ids: np.ndarray, name: str | Path, present: list[int] | None = None) -> None:
    """`MaskError` where a mask's values are no object ids."""
    evidence = evidence_against_ids(ids, present)
    if evidence:
        raise MaskError(
            f"mask {name} is no mask of object ids ({evidence}): save the ids themselves, without"
            " smoothing, compression or stretching",
            "ids",
        )
