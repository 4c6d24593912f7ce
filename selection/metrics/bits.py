"""Binary masks as bits: 64 pixels a word, so that counting and shifting them is cheap.

An object in a 1080p frame takes about ten kilobytes this way and stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from selection.spans import consecutive

Interval = tuple[int, int]
"""First and last column offset, both inclusive."""

Offsets = Mapping[int, Interval]
"""A structuring element: row offset -> interval of column offsets. The intervals are nested
(of any two, one holds the other), as those of disks and rectangles are."""

BLOCK = 1 << 18
"""Pixels looked at in one go: what fits the processor's cache."""


class BitPlane:
    """A part of a binary mask that holds all its pixels.

    words   ``(rows, columns) uint64``; bit ``b`` of column ``c`` is pixel ``64 * c + b``
    top     frame row of the first row
    first   frame column of the first word, in words
    """

    __slots__ = ("first", "top", "words")

    def __init__(self, words: np.ndarray, top: int = 0, first: int = 0):
        self.words, self.top, self.first = words, top, first

    @classmethod
    def pack(cls, mask: np.ndarray, top: int = 0, first: int = 0) -> BitPlane:
        """From a ``(rows, pixels)`` bool crop that starts at row ``top`` and word ``first``."""
        rows, pixels = mask.shape
        octets = np.zeros((rows, -(-pixels // 64) * 8), np.uint8)
        octets[:, : -(-pixels // 8)] = np.packbits(mask, axis=1, bitorder="little")
        return cls(octets.view("<u8"), top, first)

    def __len__(self) -> int:
        """The number of pixels."""
        return int(np.bitwise_count(self.words).sum())

    def crop(self, top: int, first: int, bottom: int, last: int) -> BitPlane:
        """What lies in frame rows ``top:bottom`` and words ``first:last``; shares memory."""
        top, first = max(top, self.top), max(first, self.first)
        rows = slice(top - self.top, max(bottom - self.top, 0))
        columns = slice(first - self.first, max(last - self.first, 0))
        return BitPlane(self.words[rows, columns], top, first)

    def within(self, other: BitPlane) -> BitPlane:
        """What lies where ``other`` is."""
        height, width = other.words.shape
        return self.crop(other.top, other.first, other.top + height, other.first + width)

    def common(self, other: BitPlane) -> int:
        """The number of pixels that both have."""
        mine, theirs = self.within(other), other.within(self)
        return int(np.bitwise_count(mine.words & theirs.words).sum())

    def without(self, other: BitPlane) -> BitPlane:
        """The pixels that ``other`` lacks, in the smallest plane that holds them."""
        rest = BitPlane(self.words.copy(), self.top, self.first)
        rest.within(other).words &= ~other.within(self).words
        rows = np.flatnonzero(rest.words.any(axis=1))
        columns = np.flatnonzero(rest.words.any(axis=0))
        if not len(rows):
            return rest.crop(0, 0, 0, 0)
        top, first = rest.top, rest.first
        return rest.crop(
            top + rows[0], first + columns[0], top + rows[-1] + 1, first + columns[-1] + 1
        )

    def reached_from(self, points: BitPlane, offsets: Offsets) -> int:
        """How many of ``points`` one of ``offsets``, of at most 64 columns, leads from to a pixel
        of this plane: what they have in common with `dilate`, sooner where they are few."""
        rows, columns = points.coordinates()
        reach = max(abs(row) for row in offsets)
        side = 1 + max(max(-first, last) for first, last in offsets.values()) // 64
        height, width = self.words.shape
        rows, columns = rows - self.top + reach, columns + 64 * (side - self.first)
        inside = (rows >= 0) & (rows < height + 2 * reach)
        inside &= (columns >= 0) & (columns < 64 * (width + 2 * side))
        rows, columns = rows[inside, None] + reach, columns[inside, None] + 64 * side
        # Every step from a point that is inside stays inside.
        words = np.zeros((height + 4 * reach, width + 4 * side + 1), np.uint64)
        words[2 * reach : 2 * reach + height, 2 * side : 2 * side + width] = self.words
        down, first, last = np.array([(row, *ends) for row, ends in offsets.items()]).T
        starts = columns + first
        at = (rows + down) * words.shape[1] + (starts >> 6)
        skipped = (starts & 63).astype(np.uint64)
        flat = words.reshape(-1)
        seen = flat[at] >> skipped
        seen |= flat[at + 1] << (np.uint64(63) - skipped) << np.uint64(1)
        seen &= ~np.uint64(0) >> (63 + first - last).astype(np.uint64)
        return int(np.count_nonzero(seen.any(axis=1)))

    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """Frame rows and columns of the pixels."""
        flat = np.ascontiguousarray(self.words).reshape(-1)
        some = np.flatnonzero(flat)
        octets = flat[some].astype("<u8").view(np.uint8).reshape(-1, 8)
        which, bits = np.nonzero(np.unpackbits(octets, axis=1, bitorder="little"))
        rows, columns = np.divmod(some[which], self.words.shape[1] or 1)
        return rows + self.top, (columns + self.first) * 64 + bits

    def boundary(self, height: int, width: int) -> BitPlane:
        """The pixels that differ from their right, lower or lower right neighbour.

        Beyond the frame of ``height x width`` the mask goes on as it ends. The plane must
        reach one pixel beyond the mask at the top and on the left, within the frame.
        """
        here = self.words
        right = here >> np.uint64(1)
        right[:, :-1] |= here[:, 1:] << np.uint64(63)
        if (self.first + here.shape[1]) * 64 >= width:
            edge = np.uint64(1 << (width - 1) % 64)
            right[:, -1] = (right[:, -1] & ~edge) | (here[:, -1] & edge)
        differs = here ^ right
        differs[:-1] |= (here[:-1] ^ here[1:]) | (here[:-1] ^ right[1:])
        if self.top + len(here) < height:
            differs[-1:] |= here[-1:]
        return BitPlane(differs, self.top, self.first)

    def dilate(self, offsets: Offsets) -> BitPlane:
        """The pixels from which one of ``offsets`` leads to a pixel of this plane.

        The result is larger than the plane by as far as the offsets reach.
        """
        reach = max(abs(row) for row in offsets)
        side = -(-max(max(-first, last) for first, last in offsets.values()) // 64)
        rows, columns = self.words.shape
        stride = columns + 2 * side
        # The rows lie end to end, with room between them for what is shifted out of one.
        spread = np.zeros(rows * stride, np.uint64)
        spread.reshape(rows, stride)[:, side : side + columns] = self.words
        result = np.zeros((rows + 2 * reach) * stride, np.uint64)
        done: Interval | None = None
        for interval in sorted(
            set(offsets.values()), key=lambda interval: interval[1] - interval[0]
        ):
            spread = _widen(spread, done, interval)
            done = interval
            for first, last in consecutive(r for r, i in offsets.items() if i == interval):
                pile = _piled(spread, last - first + 1, stride)
                start = (reach - last) * stride
                result[start : start + len(pile)] |= pile
        return BitPlane(result.reshape(-1, stride), self.top - reach, self.first - side)


def _widen(words: np.ndarray, done: Interval | None, wanted: Interval) -> np.ndarray:
    """Dilate a stream of bits by the offsets ``wanted``, after it was dilated by ``done``."""
    if done is None:
        done = (wanted[0], wanted[0])
        moved = np.zeros_like(words)
        _or_moved(moved, words, wanted[0])
        words = moved
    first, last = done
    while (first, last) != wanted:
        covered = last - first + 1
        left, right = min(covered, first - wanted[0]), min(covered, wanted[1] - last)
        # each step at most doubles the run of offsets, so that it has no gaps
        if left:
            _or_moved(words, words, -left)
            first -= left
        else:
            _or_moved(words, words, right)
            last += right
    return words


def _piled(words: np.ndarray, count: int, stride: int) -> np.ndarray:
    """A stream of bits, or'ed with itself moved on by 0, 1, ..., count - 1 times ``stride``."""
    pile = np.zeros(len(words) + (count - 1) * stride, np.uint64)
    pile[: len(words)] = words
    done = 1
    while done < count:
        step = min(done, count - done)
        pile[step * stride :] |= pile[: len(pile) - step * stride]
        done += step
    return pile


def _or_moved(target: np.ndarray, words: np.ndarray, offset: int) -> None:
    """``target |= words``, every bit replaced by the one ``offset`` further on (0 outside)."""
    skip, bits = divmod(offset, 64)
    low = words >> np.uint64(bits)
    high = words << np.uint64(64 - bits) if bits else None
    for moved, by in ((low, skip), (high, skip + 1)):
        if moved is not None and abs(by) < len(words):
            kept = len(words) - abs(by)
            target[max(-by, 0) :][:kept] |= moved[max(by, 0) :][:kept]


def sparse_nonzero(flat: np.ndarray) -> np.ndarray:
    """`numpy.flatnonzero` of a contiguous ``(n,) uint8`` array with few values besides 0.

    Looks at eight values at a time first, which is several times as fast.
    """
    whole = len(flat) // 8 * 8
    words = flat[:whole].view(np.uint64)
    at = np.flatnonzero(words != 0)
    inside = np.flatnonzero(words[at].view(np.uint8) != 0)
    return np.concatenate(
        [at[inside >> 3] * 8 + (inside & 7), np.flatnonzero(flat[whole:]) + whole]
    )


def runs(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The horizontal runs of one value in ``(height, width) uint8``, without those of 0.

    Returns value, start and length of each, ``(n,)``; starts count in the raveled array.
    """
    width = ids.shape[1]
    flat = ids.reshape(-1)
    step = max(BLOCK // width, 1) * width
    begins = []
    for begin in range(0, len(flat), step):
        block = flat[begin : begin + step]
        if not block.any():
            begins.append(np.array([begin]))
            continue
        changed = np.empty(len(block), np.uint8)
        np.bitwise_xor(block[1:], block[:-1], out=changed[1:])
        changed[::width] = 1
        begins.append(sparse_nonzero(changed) + begin)
    starts = np.concatenate(begins)
    values = flat[starts]
    lengths = np.diff(starts, append=len(flat))
    kept = values != 0
    return values[kept], starts[kept], lengths[kept]
