"""The one place where an image is opened: by its content, whatever its suffix says.

Frames are turned as their orientation tag says (EXIF, in JPEG, PNG, WebP and TIFF; all eight
values), sizes likewise. Frames of more than 8 bits are scaled by the range of their video.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from stseg.errors import InputError
from stseg.files import stand_in

ORIENTATION = 0x0112
"""EXIF's tag."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the image upright."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange height and width."""

WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's modes of more than 8 bits, which it cuts at 255 when it makes RGB of them."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and detectors deliver in 16."""
FEW_LEVELS = 32
"""A video that would use fewer of the 256 levels is stretched over all of them: raw counts of
thermal cameras fill a small part of their range."""


@dataclass(frozen=True)
class Depth:
    """The range of a video's values that are wider than 8 bits: smallest and largest."""

    low: float
    high: float

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """As ``uint8``: by the bits that hold the largest value, so that what was made of 8 bits
        by shifting comes back unchanged; over all levels where that would use few of them."""
        low, high = max(self.low, 0.0), max(self.high, 0.0)
        bits = next((b for b in DEPTHS if high < 1 << b), 0)
        whole = np.issubdtype(values.dtype, np.integer) and bits and self.low >= 0
        if whole and (bits == 8 or (high - low) / 2 ** (bits - 8) >= FEW_LEVELS):
            return (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
        span = max(self.high - self.low, 1e-12)
        return (
            np.rint((values.astype(np.float64) - self.low) * (255 / span))
            .clip(0, 255)
            .astype(np.uint8)
        )


@contextmanager
def opened(file: str | Path | BinaryIO, name: str | Path, kind: str) -> Iterator[Image.Image]:
    """An image that is open until the block ends; whatever goes wrong names it.

    kind   what messages call it: "frame", "mask"

    Raises `InputError` for a file that is missing, no image, cut off, damaged, or that claims
    more pixels than Pillow's limit.
    """
    try:
        with Image.open(file) as image:
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{kind} {name} does not exist: restore it") from None
    except UnidentifiedImageError as error:
        raise unreadable(name, kind, _stand_in(file) or error) from None
    except Exception as error:  # damaged data makes Pillow's plugins raise anything
        raise unreadable(name, kind, error) from None


def _stand_in(file: str | Path | BinaryIO) -> Exception | None:
    """What lies in place of an image, as an error; None where nothing tells."""
    if isinstance(file, (str, Path)):
        with open(file, "rb") as stream:
            return _stand_in(stream)
    file.seek(0)
    told = stand_in(file.read(256))
    return None if told is None else OSError(told)


def unreadable(name: str | Path, kind: str, error: Exception) -> InputError:
    """The sentence for an image that cannot be decoded."""
    what = "PNG" if kind == "mask" else "image"
    return InputError(
        f"{kind} {name} cannot be decoded ({reason(error)}): replace it with a whole {what}"
    )


def reason(error: Exception) -> str:
    """Pillow's words, without the address of a stream and without its guess at an attack."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, Image.DecompressionBombError):
        claimed = "".join(c for c in str(error).partition(" pixels")[0] if c.isdigit())
        return f"its header claims {int(claimed or 0):,} pixels, which no image here may have"
    return str(error) or type(error).__name__


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an open image, 1 to 8; 1 without a readable tag."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
        return int(turn) if int(turn) in TURNS else 1
    except (OSError, SyntaxError):
        raise
    except Exception:  # a damaged tag turns nothing
        return 1


def image_size(path: str | Path, kind: str = "frame") -> tuple[int, int]:
    """(height, width) of an image file as it is seen upright; decodes no pixel."""
    with opened(path, path, kind) as image:
        turned = _late_png_orientation(path) if _may_come_late(image) else orientation(image)
        size = image.height, image.width
        if image.format == "TIFF":  # Pillow turns it itself, its size too
            return size
    return size[::-1] if turned in SIDEWAYS else size


def read_frame(
    path: str | Path,
    at_least: tuple[int, int] | None = None,
    depth: Callable[[], Depth] | None = None,
) -> np.ndarray:
    """Decode an image file: ``(H, W, 3) uint8`` RGB, upright.

    at_least   (height, width): a JPEG that is 2, 4 or 8 times as large or more is decoded at
               that fraction of its size, which is several times faster
    depth      gives the range of the video where the frame is wider than 8 bits; None: the
               frame's own

    Pillow is used because it reports a truncated file, where OpenCV returns a grey rest.
    """
    with opened(path, path, "frame") as image:
        if at_least is not None:
            tall = image.format == "JPEG" and orientation(image) in SIDEWAYS
            image.draft("RGB", at_least if tall else at_least[::-1])
        if is_wide(image):
            raw = _wide_values(image, path)
            depths = depth() if depth is not None else _range([raw])
            eight = depths.scaled(raw)
            upright = Image.fromarray(eight if eight.ndim == 3 else np.stack([eight] * 3, -1))
        else:
            upright = image.convert("RGB")
        turned = orientation(image)
        if turned in TURNS:
            upright = upright.transpose(TURNS[turned])
        return np.array(upright)


def is_wide(image: Image.Image) -> bool:
    """Whether an open image that is not decoded yet has more than 8 bits a channel."""
    if image.mode in WIDE_MODES:
        return True
    return image.format == "PNG" and _raw_mode(image).endswith(";16B")


def range_of(paths: Iterable[str | Path]) -> Depth:
    """Smallest and largest value over the frames that are wider than 8 bits. Decodes them."""
    return _range(_wide_frames(paths))


def _wide_frames(paths: Iterable[str | Path]) -> Iterator[np.ndarray]:
    for path in paths:
        with opened(path, path, "frame") as image:
            if is_wide(image):
                yield _wide_values(image, path)


def _range(frames: Iterable[np.ndarray]) -> Depth:
    ranges = [(float(np.nanmin(f)), float(np.nanmax(f))) for f in frames]
    return Depth(min(r[0] for r in ranges), max(r[1] for r in ranges))


def _wide_values(image: Image.Image, path: str | Path) -> np.ndarray:
    """``(H, W)`` or ``(H, W, 3)`` values as they are stored. OpenCV for 16-bit colour, of which
    Pillow keeps the high bytes alone."""
    if image.mode in WIDE_MODES:
        values = np.asarray(image)
        return values.astype(np.uint16) if values.dtype.byteorder == ">" else values
    image.load()  # reports what is cut off
    data = np.fromfile(path, np.uint8)
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    colours = cv2.imdecode(data, flags)
    if colours is None:
        raise OSError("16-bit colour cannot be read")
    return np.ascontiguousarray(colours[..., ::-1])


def _raw_mode(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    args = tiles[0][3] if tiles else ""
    return args if isinstance(args, str) else str(args[0] if args else "")


def _may_come_late(image: Image.Image) -> bool:
    """A PNG may have its tag behind the pixels, where Pillow looks only after decoding."""
    return image.format == "PNG" and "exif" not in image.info


def _late_png_orientation(path: str | Path) -> int:
    """The orientation of a PNG by its chunks alone: ``eXIf`` wherever it is."""
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                exif = Image.Exif()
                try:
                    exif.load(file.read(size))
                    turn = exif.get(ORIENTATION, 1)
                    return int(turn) if int(turn) in TURNS else 1
                except Exception:  # a damaged tag turns nothing
                    return 1
            if kind == b"IEND":
                break
            file.seek(size + 4, 1)
    return 1
