"""Label Studio's run-lengths of brush masks.

Source: the format of https://thi.ng/rle-pack, which Label Studio uses for ``value.rle``: 32 bits
for the number of words, 5 for the bits of a word, 4 x 4 for the bits of the four kinds of run
lengths (each less one), then blocks: a bit that tells a run from single words, two for the kind of
length, the length less one, and the word or words. An image has four equal words of 8 bits per
pixel.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

WORD = 8
LENGTHS = (3, 4, 8, 16)
"""Bits of the four kinds of run lengths."""

CHANNELS = 4
FULL = 255


def encode(mask: np.ndarray) -> list[int]:
    """The bytes, in [0, 255], of a ``(H, W) bool`` mask; the whole of them are runs."""
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], edges])
    lengths = np.diff(np.append(starts, flat.size)) * CHANNELS
    bits = [
        _bits(flat.size * CHANNELS, 32),
        _bits(WORD - 1, 5),
        *(_bits(n - 1, 4) for n in LENGTHS),
    ]
    for start, length in zip(starts, lengths.tolist(), strict=True):
        word = _bits(FULL if flat[start] else 0, WORD)
        for part in _parts(length):
            kind = next(k for k, size in enumerate(LENGTHS) if part <= 1 << size)
            bits += ["1", _bits(kind, 2), _bits(part - 1, LENGTHS[kind]), word]
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    packed = np.packbits(np.frombuffer(text.encode(), np.uint8) - ord("0"))
    code: list[int] = packed.tolist()
    return code


def decode(code: list[int], height: int, width: int) -> np.ndarray:
    """The ``(height, width) bool`` mask of such bytes: where the last channel is above 0.

    `ValueError` where they do not fill the image or end too early.
    """
    text = "".join(f"{byte:08b}" for byte in code)
    at = 0

    def number(bits: int) -> int:
        nonlocal at
        at += bits
        if at > len(text):
            raise ValueError("run-lengths end too early")
        return int(text[at - bits : at], 2)

    count, word = number(32), number(5) + 1
    sizes = [number(4) + 1 for _ in LENGTHS]
    if count != height * width * CHANNELS:
        raise ValueError("run-lengths of another size than the image")
    words: list[int] = []
    lengths: list[int] = []
    filled = 0
    while filled < count:
        run, length = number(1), number(sizes[number(2)]) + 1
        for _ in range(1 if run else length):
            words.append(number(word))
            lengths.append(length if run else 1)
        filled += length
    values = np.repeat(words, lengths)[:count]
    plane: np.ndarray = values.reshape(height, width, CHANNELS)[..., -1] > 0
    return plane


def _parts(length: int) -> Iterator[int]:
    most = 1 << LENGTHS[-1]
    while length > most:
        yield most
        length -= most
    yield length


def _bits(value: int, width: int) -> str:
    return f"{value:0{width}b}"
