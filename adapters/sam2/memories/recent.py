"""The recent frames of an object: which are kept, and how far back each of them counts.

Both kinds are values: adding makes another one, so that hypotheses can share what they have in
common.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class LatestFrames(Generic[T]):
    """All frames of the time just before.

    window   a frame is read until this many frames later, exclusive
    items    (frame index, what is kept of it), the oldest first
    """

    window: int
    items: tuple[tuple[int, T], ...] = ()

    def added(self, index: int, item: T, worthy: bool = True) -> LatestFrames[T]:
        """These frames and one more; ``worthy`` makes no difference here."""
        items = sorted([*self.items, (index, item)], key=lambda pair: pair[0])
        oldest = items[-1][0] + 2 - self.window
        return replace(self, items=tuple(pair for pair in items if pair[0] >= oldest))

    def without(self, indices: Collection[int]) -> LatestFrames[T]:
        """Without some of the frames."""
        return replace(self, items=tuple(pair for pair in self.items if pair[0] not in indices))

    def cleared(self) -> LatestFrames[T]:
        """Without any frame."""
        return replace(self, items=())

    def read(self, now: int) -> list[tuple[int, T]]:
        """(age in frames, what is kept), the oldest first."""
        return [(now - index, item) for index, item in self.items if now - index < self.window]


@dataclass(frozen=True)
class WorthyFrames(Generic[T]):
    """The latest frames that are worth keeping, however long ago they were.

    Their ages are counted in frames that are kept: 1 is the latest of these. The network has
    learnt positions for a few frames back and no more.

    count      is the number of frames
    always     keeps the very latest frame even if it is not worth keeping
    worthy     has (frame index, what is kept of it), the oldest first
    latest     has the very latest frame, if it is kept only because of ``always``
    """

    count: int
    always: bool = True
    worthy: tuple[tuple[int, T], ...] = ()
    latest: tuple[tuple[int, T], ...] = field(default=())

    def added(self, index: int, item: T, worthy: bool = True) -> WorthyFrames[T]:
        """With a frame, as long as it is among those that are read."""
        if not worthy:
            return replace(self, latest=((index, item),) if self.always else ())
        items = sorted([*self.worthy, (index, item)], key=lambda pair: pair[0])
        newest = self.latest if self.latest and self.latest[0][0] > index else ()
        return replace(self, worthy=tuple(items[-self.count :]), latest=newest)

    def without(self, indices: Collection[int]) -> WorthyFrames[T]:
        """Without some of the frames."""
        worthy, latest = (
            tuple(pair for pair in pairs if pair[0] not in indices)
            for pairs in (self.worthy, self.latest)
        )
        return replace(self, worthy=worthy, latest=latest)

    def cleared(self) -> WorthyFrames[T]:
        """Without any frame."""
        return replace(self, worthy=(), latest=())

    def read(self, now: int) -> list[tuple[int, T]]:
        """(rank, what is kept), the oldest first; ``now`` does not matter."""
        items = (*self.worthy, *self.latest)[-self.count :]
        return [(len(items) - place, item) for place, (_, item) in enumerate(items)]
