"""The bounded memory of one object: what it keeps of the frames on which it was followed.

As in SAM 2 (Ravi et al. 2024, Sec. 4): the frame with the given mask and the most recent
ones as feature maps, and object pointers of more frames. `Memory` drops what can never be read
again, so it does not grow with the video.

Reliable conditioned memory (RCMS, the baseline of MOSEv2, Ding et al. 2025): when an object
is predicted absent for the first time, the most recent reliable frames before that become
conditioning frames, which are never dropped.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """One remembered frame of one object.

    index      frame index
    features   ``(h * w, memory_dim)`` bfloat16
    pointer    ``(d_model,)``
    """

    index: int
    features: Tensor
    pointer: Tensor


@dataclass(frozen=True)
class View:
    """What is in memory for one frame.

    moments     frames with feature maps: conditioning ones first
    ages        of those that are not conditioning, in frames: 1 is the frame before
    pointers    object pointers
    distances   how many frames back each of them is
    """

    moments: list[Moment]
    ages: tuple[int, ...]
    pointers: list[Tensor]
    distances: list[int]

    @property
    def shape(self) -> tuple[int, tuple[int, ...], int]:
        """Views of the same shape can be put in one batch."""
        return len(self.moments), self.ages, len(self.pointers)


class Memory:
    """The memory of one object.

    frames      with feature maps, the one with the given mask included
    pointers    object pointers, likewise
    reliable    frames to promote at the first disappearance; 0: none
    quality     above which a frame is reliable
    limit       of conditioning frames
    """

    def __init__(
        self,
        frames: int,
        pointers: int,
        reliable: int = 0,
        quality: float = 0.6,
        limit: int = 8,
    ):
        self._limit = limit
        self._frames, self._pointers, self._quality = frames, pointers, quality
        self._conditioning: list[Moment] = []
        self._recent: deque[Moment] = deque()
        self._recent_pointers: deque[tuple[int, Tensor]] = deque()
        self._reliable: deque[Moment] = deque(maxlen=reliable)
        self._watching = reliable > 0

    def condition(self, moment: Moment) -> None:
        """Keep a frame with a given mask permanently.

        Of more than the limit those nearest in time are conditioning, as the package selects
        them (``max_cond_frames_in_attn``); the oldest is then one of the recent frames, or gone.
        """
        self._conditioning.append(moment)
        if len(self._conditioning) > self._limit:
            oldest = min(self._conditioning, key=lambda kept: kept.index)
            self._conditioning = [kept for kept in self._conditioning if kept is not oldest]
            self._recent = deque(sorted([oldest, *self._recent], key=lambda m: m.index))
            pointers = [(oldest.index, oldest.pointer), *self._recent_pointers]
            self._recent_pointers = deque(sorted(pointers, key=lambda p: p[0]))
        self._expire(moment.index + 1)

    def lose(self, moment: Moment) -> None:
        """The object is not there, whatever the frames before had: keep that one instead of
        these."""
        self._recent = deque([moment])
        self._recent_pointers = deque([(moment.index, moment.pointer)])
        self._reliable.clear()

    def remember(self, moment: Moment, *, visible: bool, quality: float) -> None:
        """Keep a frame on which the object was followed, as long as it can be read.

        visible   whether the object score says that the object is there
        quality   of its mask, in [0, 1]
        """
        self._recent.append(moment)
        self._recent_pointers.append((moment.index, moment.pointer))
        if self._watching:
            if not visible:
                self._promote()
            elif quality > self._quality:
                self._reliable.append(moment)
        self._expire(moment.index + 1)

    def _expire(self, now: int) -> None:
        """Drop what frame ``now`` cannot look at."""
        while self._recent and now - self._recent[0].index >= self._frames:
            self._recent.popleft()
        while self._recent_pointers and now - self._recent_pointers[0][0] >= self._pointers:
            self._recent_pointers.popleft()

    def _promote(self) -> None:
        promoted = {moment.index for moment in self._reliable}
        self._conditioning.extend(self._reliable)
        self._recent = deque(m for m in self._recent if m.index not in promoted)
        self._recent_pointers = deque(p for p in self._recent_pointers if p[0] not in promoted)
        self._reliable.clear()
        self._watching = False

    def view(self, now: int) -> View:
        """The part of memory that frame ``now`` reads."""
        pointers = [(moment.index, moment.pointer) for moment in self._conditioning]
        pointers += reversed(self._recent_pointers)  # the package's order: sums round by it
        return View(
            moments=[*self._conditioning, *self._recent],
            ages=tuple(now - moment.index for moment in self._recent),
            pointers=[pointer for _, pointer in pointers],
            distances=[now - index for index, _ in pointers],
        )
