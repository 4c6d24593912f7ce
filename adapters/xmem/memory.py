"""XMem's memory of a video: working memory, and long-term memory of constant size.

Behaves as the reference implementation does (Cheng and Schwing 2022, Sec. 3.3), with
storage that is allocated in blocks and never re-concatenated. All objects share one list
of key tokens. Objects are grouped by the frame on which they came; the values of a group
belong to the *newest* tokens of that list, as many as the group has values. This alignment
at the newest end is the reference's, also where consolidation shifts a late group's values
to the keys of other frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.networks.affinity import (
    memory_rows,
    most_used,
    query_rows,
    readout,
    similarity,
    tokens,
    top_k_softmax,
    usage,
)
from adapters.shared.given import CORRECTED_FRAMES
from mose import InputError
from stseg.config import option

NEW_LIFE = 1e-7
"""Life of a token that was never read; above 0, so that its usage is defined."""

SCORES_AT_ONCE = 4 << 20
"""Similarities that are held at once; queries are read in batches of this many numbers."""


@dataclass(frozen=True)
class XMemMemoryOptions:
    """Limits of the memory, named as in the reference."""

    top_k: int = option(30, doc="Memory tokens that each query reads.", least=1)
    enable_long_term: bool = option(
        True, doc="Consolidate old memory frames; without, memory grows."
    )
    max_mid_term_frames: int = option(
        10, doc="Memory frames at which the older ones are consolidated.", least=2
    )
    min_mid_term_frames: int = option(
        5, doc="Memory frames that are left then, the first one among them.", least=1
    )
    max_long_term_elements: int = option(10000, doc="Tokens of long-term memory at most.", least=1)
    num_prototypes: int = option(128, doc="Tokens that one consolidation makes.", least=1)

    def __post_init__(self) -> None:
        if not 1 <= self.min_mid_term_frames < self.max_mid_term_frames:
            raise InputError(
                f"min_mid_term_frames is {self.min_mid_term_frames} and max_mid_term_frames"
                f" {self.max_mid_term_frames}: expected 1 <= min < max"
            )
        if not 1 <= self.num_prototypes <= self.max_long_term_elements:
            raise InputError(
                f"num_prototypes is {self.num_prototypes} and max_long_term_elements"
                f" {self.max_long_term_elements}: expected 1 <= prototypes <= elements"
            )


class Band:
    """Rows ``(..., T, C)`` in one buffer that grow at both ends.

    Long-term tokens are at the front, the newest first; working tokens at the back, the
    newest last. The buffer doubles where it is full.
    """

    def __init__(self, like: Tensor):
        """Empty, for rows like ``(..., C)`` of ``like`` ``(..., T, C)``."""
        self._buffer = like.new_empty(*like.shape[:-2], 0, like.shape[-1])
        self._start = self._end = 0
        self.long = 0

    @property
    def live(self) -> Tensor:
        """All rows, a view."""
        return self._buffer[..., self._start : self._end, :]

    @property
    def total(self) -> int:
        return self._end - self._start

    @property
    def work(self) -> int:
        return self.total - self.long

    def append(self, rows: Tensor) -> None:
        """The newest working rows ``(..., n, C)``."""
        count = rows.shape[-2]
        if self._end + count > self._buffer.shape[-2]:
            self._grow(0, max(count, self.work))
        self._buffer[..., self._end : self._end + count, :] = rows
        self._end += count

    def prepend(self, rows: Tensor) -> None:
        """The newest long-term rows ``(..., n, C)``, the oldest of them first."""
        count = rows.shape[-2]
        if count > self._start:
            self._grow(max(count, self.long), 0)
        self._start -= count
        self._buffer[..., self._start : self._start + count, :] = rows.flip(-2)
        self.long += count

    def cut(self, first: int, kept: int) -> None:
        """Remove the working rows but the oldest ``first`` and the newest ``kept``."""
        target = self._start + self.long + first
        source = self._end - kept
        if source > target:
            self._move(source, kept, target)
            self._end = target + kept

    def keep_long(self, survives: Tensor) -> None:
        """Remove the long-term rows for which ``survives`` ``(long,)`` is false."""
        kept = self.live[..., : self.long, :][..., survives, :]
        count = kept.shape[-2]
        self._start += self.long - count
        self._buffer[..., self._start : self._start + count, :] = kept
        self.long = count

    def _grow(self, left: int, right: int) -> None:
        *outer, size, channels = self._buffer.shape
        buffer = self._buffer.new_empty(*outer, size + left + right, channels)
        start = self._start + left
        buffer[..., start : start + self.total, :] = self.live
        self._buffer, self._start, self._end = buffer, start, start + self.total

    def _move(self, source: int, count: int, target: int) -> None:
        moved = self._buffer[..., source : source + count, :].clone()
        self._buffer[..., target : target + count, :] = moved


@dataclass(frozen=True)
class _Permanent:
    """A frame that is never forgotten: rows of its tokens, values ``(N, P, V)`` of the objects
    that were there."""

    rows: Tensor
    values: Tensor


class XMemMemory:
    """The memory of one video.

    Differs from the reference where that raises: fewer tokens than ``top_k`` or than
    prototypes are all used, a long-term memory exactly at its limit drops nothing, and with
    several groups of objects the values of the dropped tokens are dropped with them.
    Whether long-term usage counts is no option: counting decides nothing but what is
    dropped, so it always counts.

    Beside all that, the latest `CORRECTED_FRAMES` frames on which a mask was corrected are kept
    for good. They come behind the newest tokens, for the objects that were there.
    """

    def __init__(self, options: XMemMemoryOptions):
        self.options = options
        self._frame = 0  # tokens of one frame
        self._rows: Band | None = None
        self._keys: Band | None = None  # key, shrinkage, selection of the working tokens
        self._usage: Band | None = None  # use and life
        self._values: list[Band] = []  # of each group
        self._permanent: deque[_Permanent] = deque(maxlen=CORRECTED_FRAMES)

    @property
    def tokens(self) -> tuple[int, int]:
        """Working and long-term tokens, without permanent ones."""
        return (self._rows.work, self._rows.long) if self._rows else (0, 0)

    @property
    def permanent_tokens(self) -> int:
        """Of frames with corrected masks."""
        return sum(len(frame.rows) for frame in self._permanent)

    @property
    def objects(self) -> int:
        return sum(band.live.shape[0] for band in self._values)

    def add(
        self,
        key: Tensor,
        shrinkage: Tensor,
        selection: Tensor,
        values: Tensor,
        permanent: bool = False,
    ) -> None:
        """One memory frame; objects beyond those known are new and form a group.

        key and selection ``(K, h, w)``, shrinkage ``(1, h, w)``, values ``(N, V, h, w)``;
        permanent: the frame is never forgotten
        """
        key, shrinkage, selection = tokens(key), tokens(shrinkage), tokens(selection)
        values = tokens(values)
        rows = memory_rows(key, shrinkage)
        self._frame = len(rows)
        if permanent and self._rows is not None:
            known = self.objects
            if len(values) > known:
                self._values.append(Band(values[known:]))
            self._permanent.append(_Permanent(rows, values))
            return
        if self._rows is None:
            self._rows = Band(rows)
        self._rows.append(rows)
        if self.options.enable_long_term:
            everything = torch.cat([key, shrinkage, selection], 1)
            fresh = key.new_tensor([0.0, NEW_LIFE]).expand(len(key), 2)
            if self._keys is None or self._usage is None:
                self._keys, self._usage = Band(everything), Band(fresh)
            self._keys.append(everything)
            self._usage.append(fresh)
        known = self.objects
        if len(values) > known:
            self._values.append(Band(values[known:]))
        first = 0
        for band in self._values:
            count = band.live.shape[0]
            band.append(values[first : first + count])
            first += count
        limit = self.options.max_mid_term_frames * self._frame
        if self.options.enable_long_term and self._rows.work >= limit:
            self._consolidate()

    def read(self, key: Tensor, selection: Tensor) -> Tensor:
        """Readout ``(N, V, h, w)`` for a frame's key and selection ``(K, h, w)``."""
        assert self._rows is not None
        queries = query_rows(tokens(key), tokens(selection))
        memory, values = self._memory()
        ordinary = self._rows.total
        step = max(SCORES_AT_ONCE // len(memory), 64)
        parts = []
        used = memory.new_zeros(len(memory))
        for batch in queries.split(step):
            scores = similarity(batch, memory)
            mixed = []
            for index, band in enumerate(self._values):
                own = scores
                rest = values[index].shape[1] - band.total
                if band.total + rest < len(memory):
                    work = scores[:, ordinary - band.work : ordinary]
                    late = scores[:, len(memory) - rest :]
                    own = torch.cat([scores[:, : band.long], work, late], 1)
                weights, columns = top_k_softmax(own, self.options.top_k)
                mixed.append(readout(values[index], weights, columns))
                if index == 0 and self._usage is not None:
                    used += usage(weights, columns, len(memory))
            parts.append(torch.cat(mixed))
        if self._usage is not None:
            self._usage.live[:, 0] += used[:ordinary]
            self._usage.live[:, 1] += 1
        whole = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        return whole.transpose(1, 2).unflatten(2, key.shape[-2:])

    def _memory(self) -> tuple[Tensor, list[Tensor]]:
        """The rows of all tokens, permanent ones last, and of each group the values that it has,
        which are those of the oldest long-term tokens and the newest others."""
        assert self._rows is not None
        values = [band.live for band in self._values]
        if not self._permanent:
            return self._rows.live, values
        first = 0
        for index, band in enumerate(self._values):
            after = first + band.live.shape[0]
            seen = [f.values[first:after] for f in self._permanent if len(f.values) >= after]
            values[index] = torch.cat([band.live, *seen], 1)
            first = after
        return torch.cat([self._rows.live, *(frame.rows for frame in self._permanent)]), values

    def _consolidate(self) -> None:
        """Turn the frames between the first and the newest into prototypes (Sec. 3.3.2)."""
        assert self._rows is not None
        assert self._keys is not None
        assert self._usage is not None
        if self._rows.long >= self.options.max_long_term_elements - self.options.num_prototypes:
            self._forget()
        first, kept = self._frame, (self.options.min_mid_term_frames - 1) * self._frame
        everything = self._keys.live[first : self._keys.work - kept]
        used = self._usage.live[self._usage.long :][first : self._usage.work - kept]
        width = (everything.shape[1] - 1) // 2
        key, shrinkage, selection = everything.split([width, 1, width], 1)
        chosen = most_used(used[:, 0], used[:, 1], self.options.num_prototypes)
        scores = similarity(query_rows(key[chosen], selection[chosen]), memory_rows(key, shrinkage))

        for index, band in enumerate(self._values):
            late = index > 0 and band.work < self._rows.work
            values = band.live[:, band.long :][:, first : band.work - kept]
            made = None
            if not late or band.work > first + kept + self._frame:
                # A group's values are those of the newest candidates.
                older = len(key) - values.shape[1]
                affinity = scores[chosen >= older, older:].softmax(1)
                made = affinity @ values
            if band.work >= first + kept + self._frame:
                # Where the two conditions differ, the reference drops without a trace.
                band.cut(first, kept)
            if made is not None:
                band.prepend(made)
        prototypes = memory_rows(key[chosen], scores.softmax(1) @ shrinkage)
        for store in (self._rows, self._keys, self._usage):
            store.cut(first, kept)
        self._rows.prepend(prototypes)
        self._usage.prepend(prototypes.new_tensor([0.0, NEW_LIFE]).expand(len(chosen), 2))

    def _forget(self) -> None:
        """Drop the least used long-term tokens, and all that are used as little as the last."""
        assert self._rows is not None
        assert self._usage is not None
        limit = self.options.max_long_term_elements - self.options.num_prototypes
        surplus = self._rows.long - limit
        if surplus <= 0:
            return
        use, life = self._usage.live[: self._usage.long].unbind(1)
        worst = torch.topk(use / life, surplus, largest=False).values.max()
        survives = use / life > worst
        for band in (self._rows, self._usage):
            band.keep_long(survives)
        for band in self._values:
            band.keep_long(survives[: band.long])
