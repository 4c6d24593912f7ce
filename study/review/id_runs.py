"""Masks on their way between server and page: runs of ids, each way.

A mask is its height, its width and the number of its runs as little-endian 32-bit numbers, and then
the runs in reading order, 32 bits each: the length in the upper 24, the id in the lower 8. There is
nothing to decompress, so a small upload cannot become a large picture, and no palette or colour
profile can change an id.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

import numpy as np

from stseg.errors import InputError

HEAD = struct.Struct("<III")
LONGEST = (1 << 24) - 1


def encode_runs(ids: np.ndarray) -> bytes:
    """``(H, W) uint8`` ids as bytes."""
    flat = ids.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.concatenate([starts, [flat.size]]))
    values = flat[starts]
    if lengths.max() > LONGEST:
        parts = -(-lengths // LONGEST)
        values = np.repeat(values, parts)
        last = np.cumsum(parts) - 1
        whole = np.full(len(values), LONGEST)
        whole[last] = lengths - (parts - 1) * LONGEST
        lengths = whole
    runs = (lengths.astype("<u4") << np.uint32(8)) | values
    return HEAD.pack(*ids.shape, len(runs)) + runs.astype("<u4").tobytes()


def decode_runs(data: bytes, size: tuple[int, int], ids: Collection[int]) -> np.ndarray:
    """``(H, W) uint8`` ids from bytes that somebody sent.

    size   (height, width) that the mask must have
    ids    the objects that it may hold

    Raises `InputError` for anything else; nothing larger than the mask is ever made.
    """
    if len(data) < HEAD.size:
        raise InputError("this is no mask: send runs of ids")
    height, width, count = HEAD.unpack_from(data)
    if (height, width) != size:
        raise InputError(
            f"the mask is {height} x {width}, but the video is {size[0]} x {size[1]}: draw on a"
            " frame of it"
        )
    if len(data) != HEAD.size + 4 * count:
        raise InputError("the mask is cut off: send it again")
    runs = np.frombuffer(data, "<u4", offset=HEAD.size)
    lengths, values = (runs >> 8).astype(np.int64), (runs & 255).astype(np.uint8)
    if lengths.sum() != height * width:
        raise InputError("the runs of the mask do not fill its frame: send it again")
    foreign = sorted(set(np.unique(values).tolist()) - {0, *ids})
    if foreign:
        raise InputError(f"the video has no object {foreign[0]}: it has {_listed(ids)}")
    return np.repeat(values, lengths).reshape(size)


def _listed(ids: Collection[int]) -> str:
    return ", ".join(map(str, sorted(ids)))
