"""Cutie's memory of past frames: tokens that are read by similarity.

Objects that arrive on the same frame share a bucket, and every bucket has keys of its own.
A bucket always keeps the frame on which its objects arrived. Of the later memory frames it keeps
the newest ones, or, with long-term memory, turns old ones into prototypes (XMem,
Cheng and Schwing 2022, Sec. 3.3).

The latest few frames on which an object was corrected are kept for good as well.

Storage is allocated once per bucket, and again for each of those; its size does not depend on
the video's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.networks.affinity import (
    memory_rows,
    most_used,
    potentiation,
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


@dataclass(frozen=True)
class LongTerm:
    """Limits of the long-term memory, per bucket."""

    max_mem_frames: int = option(
        10, doc="Memory frames, the first included, at which the oldest are consolidated.", least=2
    )
    min_mem_frames: int = option(
        5, doc="Memory frames, the first included, that are left then.", least=1
    )
    num_prototypes: int = option(128, doc="Tokens that one consolidation makes.", least=1)
    max_num_tokens: int = option(10000, doc="Tokens of long-term memory at most.", least=1)
    buffer_tokens: int = option(
        2000, doc="Tokens dropped beyond that limit, so that it is not reached at once.", least=0
    )
    count_usage: bool = option(True, doc="Drop the least read tokens; false: the oldest.")

    def __post_init__(self) -> None:
        if self.min_mem_frames >= self.max_mem_frames:
            raise InputError(
                f"option long_term.min_mem_frames is {self.min_mem_frames}, expected less than"
                f" long_term.max_mem_frames ({self.max_mem_frames})"
            )
        if self.kept_tokens < 0:
            raise InputError(
                f"option long_term.max_num_tokens is {self.max_num_tokens}, expected at least"
                f" num_prototypes + buffer_tokens ({self.num_prototypes + self.buffer_tokens})"
            )

    @property
    def kept_tokens(self) -> int:
        """What is left of a full long-term memory."""
        return self.max_num_tokens - self.num_prototypes - self.buffer_tokens


@dataclass(frozen=True)
class CutieMemoryOptions:
    """How much is remembered and how it is read."""

    top_k: int = option(30, doc="Memory tokens that each query reads.", least=1)
    max_mem_frames: int = option(
        5, doc="Memory frames, the first included, without long-term memory.", least=1
    )
    use_long_term: bool = option(
        False, doc="Turn old memory frames into prototypes instead of dropping them."
    )
    long_term: LongTerm = option(LongTerm, doc="`LongTerm`, also as `long_term.<name>`.")


class Bucket:
    """Tokens of the objects that arrived on one frame.

    The tokens in use are contiguous: ``[long-term | permanent frames | later frames]``.
    Long-term tokens grow to the left, later frames to the right, so that neither moves the
    other. The first frame is permanent, and so are up to `CORRECTED_FRAMES` others, on which an
    object of the bucket was corrected; each makes the storage larger by one frame.
    """

    def __init__(self, options: CutieMemoryOptions, key: Tensor, values: Tensor):
        """For frames like key ``(P, K)`` and values ``(N, P, V)``; empty."""
        self.options = options
        self.frame = key.shape[0]
        long_term = options.long_term
        reserve = long_term.max_num_tokens if options.use_long_term else 0
        frames = long_term.max_mem_frames if options.use_long_term else options.max_mem_frames
        capacity = reserve + frames * self.frame
        self.rows = key.new_empty(capacity, 2 * key.shape[1] + 1)
        self.values = values.new_empty(values.shape[0], capacity, values.shape[2])
        self.first = self.start = self.end = reserve
        self._oldest = 0
        self._permanent = 1  # frames
        self._oldest_corrected = 0
        if options.use_long_term:
            self.use = key.new_zeros(capacity, dtype=torch.float32)
            self.life = torch.full_like(self.use, NEW_LIFE)
            self.raw = key.new_empty((frames - 1) * self.frame, 2 * key.shape[1] + 1)

    @property
    def long_tokens(self) -> int:
        return self.first - self.start

    @property
    def later(self) -> int:
        """Where the frames after the permanent ones begin."""
        return self.first + self._permanent * self.frame

    def keep(self, key: Tensor, shrinkage: Tensor, values: Tensor) -> None:
        """A further permanent frame; of too many, the oldest but the first gives way."""
        if self._permanent <= CORRECTED_FRAMES:
            place = self.later
            self._permanent += 1
            self.end += self.frame
            self.rows = _widened(self.rows, place, self.frame, 0)
            self.values = _widened(self.values, place, self.frame, 1)
            if self.options.use_long_term:
                self.use = _widened(self.use, place, self.frame, 0)
                self.life = _widened(self.life, place, self.frame, 0)
        else:
            place = self.first + (1 + self._oldest_corrected) * self.frame
            self._oldest_corrected = (self._oldest_corrected + 1) % CORRECTED_FRAMES
        span = slice(place, place + self.frame)
        self.rows[span], self.values[:, span] = memory_rows(key, shrinkage), values

    def add(self, key: Tensor, shrinkage: Tensor, selection: Tensor, values: Tensor) -> None:
        """One memory frame: key and selection ``(P, K)``, shrinkage ``(P, 1)``, values
        ``(N, P, V)``. The first one added is permanent."""
        later = self.later
        place = self.end
        if place < self.rows.shape[0]:
            self.end += self.frame
        elif later < place:
            place = later + self._oldest * self.frame
            self._oldest = (self._oldest + 1) % ((self.end - later) // self.frame)
        else:
            return
        self.rows[place : place + self.frame] = memory_rows(key, shrinkage)
        self.values[:, place : place + self.frame] = values
        if self.options.use_long_term and place >= later:
            self.use[place : place + self.frame] = 0
            self.life[place : place + self.frame] = NEW_LIFE
            self.raw[place - later : place - later + self.frame] = torch.cat(
                [key, shrinkage, selection], 1
            )
            if self.end == self.rows.shape[0]:
                self._consolidate()

    def read(self, queries: Tensor) -> Tensor:
        """``(N, Q, V)`` for `query_rows` ``(Q, 2 K + 1)``."""
        scores = similarity(queries, self.rows[self.start : self.end])
        weights, columns = top_k_softmax(scores, self.options.top_k)
        if self.options.use_long_term:
            self.use[self.start : self.end] += usage(weights, columns, scores.shape[1])
            self.life[self.start : self.end] += 1
        return readout(self.values[:, self.start : self.end], weights, columns)

    def _consolidate(self) -> None:
        """Turn old frames, except the first, into prototypes of the long-term memory."""
        limits = self.options.long_term
        if self.long_tokens >= limits.max_num_tokens - limits.num_prototypes:
            self._forget()
        later = self.later
        kept = (limits.min_mem_frames - 1) * self.frame
        count = self.end - later - kept
        old = slice(later, later + count)
        channels = (self.raw.shape[1] - 1) // 2
        key, shrinkage, selection = self.raw[:count].split([channels, 1, channels], 1)
        chosen = most_used(self.use[old], self.life[old], limits.num_prototypes)
        weights = potentiation(key, shrinkage, key[chosen], selection[chosen])
        made = memory_rows(key[chosen], weights @ shrinkage)
        values = weights @ self.values[:, old]

        self.start -= len(chosen)
        new = slice(self.start, self.start + len(chosen))
        # Newest leftmost: from right to left, long-term tokens are in the order of arrival.
        self.rows[new], self.values[:, new] = made.flip(0), values.flip(1)
        self.use[new], self.life[new] = 0, NEW_LIFE
        for store in (self.rows, self.use, self.life):
            store[later : later + kept] = store[later + count : self.end].clone()
        self.values[:, later : later + kept] = self.values[:, later + count : self.end].clone()
        self.raw[:kept] = self.raw[count : count + kept].clone()
        self.end = later + kept

    def _forget(self) -> None:
        """Reduce a full long-term memory: the most read tokens stay, the most read first."""
        kept = min(self.options.long_term.kept_tokens, self.long_tokens)
        if self.options.long_term.count_usage:
            span = slice(self.start, self.first)
            best = most_used(self.use[span].flip(0), self.life[span].flip(0), kept)
            stay = (self.first - 1 - best).flip(0)
        else:
            stay = torch.arange(self.start, self.start + kept, device=self.rows.device)
        self.start = self.first - kept
        span = slice(self.start, self.first)
        for store in (self.rows, self.use, self.life):
            store[span] = store[stay]
        self.values[:, span] = self.values[:, stay]


def _widened(store: Tensor, place: int, count: int, axis: int) -> Tensor:
    """With room for ``count`` more from ``place`` on, along ``axis``; zeros."""
    before, after = store.split([place, store.shape[axis] - place], axis)
    shape = [*store.shape]
    shape[axis] = count
    return torch.cat([before, store.new_zeros(shape), after], axis)


class CutieMemory:
    """The buckets of one video, and the object memory.

    groups   positions of the objects of each bucket, as slices
    """

    def __init__(self, options: CutieMemoryOptions):
        self.options = options
        self.buckets: list[Bucket] = []
        self.groups: list[slice] = []
        self._summaries: Tensor | None = None

    @property
    def summaries(self) -> Tensor:
        """The object memory ``(N, Q, C + 1)``: summed over all memory frames."""
        assert self._summaries is not None
        return self._summaries

    @property
    def objects(self) -> int:
        return self.groups[-1].stop if self.groups else 0

    def add(
        self,
        key: Tensor,
        shrinkage: Tensor,
        selection: Tensor,
        values: Tensor,
        summaries: Tensor,
        corrected: Sequence[int] = (),
    ) -> None:
        """A memory frame; objects beyond those known are new and get a bucket of their own.

        key and selection ``(K, h, w)``, shrinkage ``(1, h, w)``, values ``(N, V, h, w)``,
        summaries ``(N, Q, C + 1)``; corrected: positions of objects whose buckets keep the
        frame for good
        """
        rows, scale, selected = tokens(key), tokens(shrinkage), tokens(selection)
        content = tokens(values)
        known = self.objects
        if len(values) > known:
            self.groups.append(slice(known, len(values)))
            self.buckets.append(Bucket(self.options, rows, content[known:]))
        for group, bucket in zip(self.groups, self.buckets, strict=True):
            if any(group.start <= position < group.stop for position in corrected):
                bucket.keep(rows, scale, content[group])
            else:
                bucket.add(rows, scale, selected, content[group])
        if self._summaries is not None:
            summaries = torch.cat([self._summaries + summaries[:known], summaries[known:]])
        self._summaries = summaries

    def read(self, key: Tensor, selection: Tensor) -> Tensor:
        """What the objects' memories say of a frame: ``(N, V, h, w)``."""
        queries = query_rows(tokens(key), tokens(selection))
        mixed = torch.cat([bucket.read(queries) for bucket in self.buckets])
        return mixed.transpose(1, 2).unflatten(2, key.shape[-2:])
