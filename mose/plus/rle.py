"""Masks as the COCO family stores them: compressed or plain run lengths, polygons, null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from stseg.errors import InputError
from stseg.files import Json

Segmentation = Json | Sequence[Any] | str | bytes | None
"""What a JSON holds for one object on one frame: ``{"size": [h, w], "counts": ...}``, the
counts alone (BURST), a list of polygons, or null."""


def decode(segmentation: Segmentation, height: int, width: int) -> np.ndarray | None:
    """``(height, width) bool``, or None where the object is not on the frame.

    Sizes that are strings are read as numbers. A size with height and width swapped is recognised
    by the frame's size and turned back. Null, an empty list and empty counts mean that the object
    is not there. Raises `InputError` for anything else that cannot be a mask of this size.
    """
    if segmentation is None or (not isinstance(segmentation, Mapping) and len(segmentation) == 0):
        return None
    if isinstance(segmentation, Mapping):
        counts = segmentation.get("counts")
        if counts is None or len(counts) == 0:
            return None
        _check_size(segmentation.get("size", (height, width)), height, width)
    elif isinstance(segmentation, (str, bytes)):
        counts = segmentation
    else:
        return _polygons(segmentation, height, width)
    size = [height, width]
    try:
        if isinstance(counts, (str, bytes)):
            raw = counts.encode() if isinstance(counts, str) else counts
            coded = {"size": size, "counts": raw}
            # Decoding trusts its input: runs that do not add up would fill memory at random.
            total = sum(_run_lengths(raw))
        else:
            runs = [int(run) for run in counts]
            total = sum(runs)
            coded = {"size": size, "counts": runs}
        if total != height * width:
            raise InputError(
                f"a mask's run lengths cover {total} pixels, the frame has {height} x {width}"
            )
        if not isinstance(coded["counts"], bytes):
            coded = coco.frPyObjects(coded, height, width)
        return coco.decode(coded).astype(bool)
    except (TypeError, ValueError) as error:
        raise InputError(f"a mask's run lengths cannot be read ({error})") from None


def _check_size(size: Any, height: int, width: int) -> None:
    try:
        numbers = [int(value) for value in size]
    except (TypeError, ValueError):
        raise InputError(f"a mask's size is {size!r}, expected [height, width]") from None
    if numbers not in ([height, width], [width, height]):
        raise InputError(f"a mask's size is {numbers}, the frame is {height} x {width}")


def _polygons(polygons: Sequence[Any], height: int, width: int) -> np.ndarray | None:
    """Union of polygons ``[x, y, x, y, ...]``; ones of fewer than three corners are nothing."""
    first = polygons[0]
    flat = [polygons] if isinstance(first, (int, float)) else polygons
    try:
        whole = [[float(v) for v in polygon] for polygon in flat if len(polygon) >= 6]
    except (TypeError, ValueError) as error:
        raise InputError(f"a mask's polygons cannot be read ({error})") from None
    if not whole:
        return None
    return coco.decode(coco.merge(coco.frPyObjects(whole, height, width))).astype(bool)


def _run_lengths(counts: bytes) -> list[int]:
    """The run lengths behind COCO's compressed counts (5 bits a character, differences)."""
    runs: list[int] = []
    at = 0
    while at < len(counts):
        value = shift = 0
        more = True
        while more:
            if at >= len(counts):
                raise ValueError("counts end in the middle of a number")
            code = counts[at] - 48
            if not 0 <= code < 64:
                raise ValueError(f"counts hold the character {chr(counts[at])!r}")
            value |= (code & 0x1F) << shift
            more = bool(code & 0x20)
            at += 1
            shift += 5
            if not more and code & 0x10:
                value |= -1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            raise ValueError("a run length is negative")
        runs.append(value)
    return runs
