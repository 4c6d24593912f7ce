"""The memory of SAM 2 (Ravi et al. 2024, Sec. 4), and what the others have in common with it.

The frames with given masks and the most recent ones as feature maps, and object pointers of
more frames. What can never be read again is dropped, so memory does not grow with the video.

Reliable conditioned memory (RCMS, the baseline of MOSEv2, Ding et al. 2025): when an object
is predicted absent for the first time, the most recent reliable frames before that become
conditioning frames, which are never dropped.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from adapters.sam2.memories.recent import LatestFrames, WorthyFrames
from adapters.sam2.memories.record import MaskChoice, Moment, Proposal, Taken, View
from adapters.sam2.scaling import ObjectMask


@dataclass(frozen=True)
class MemoryLimits:
    """How much of an object is remembered.

    frames         with feature maps, the one with the given mask included
    pointers       object pointers, likewise
    reliable       frames to promote at the first disappearance; 0: none
    quality        above which a frame is reliable
    conditioning   of conditioning frames
    """

    frames: int
    pointers: int
    reliable: int = 0
    quality: float = 0.6
    conditioning: int = 8


Maps = LatestFrames[Moment] | WorthyFrames[Moment]
Pointers = LatestFrames[Tensor] | WorthyFrames[Tensor]


class WindowMemory:
    """The memory of one object, by one hypothesis: an `ObjectMemory`.

    The other memories change which mask is taken (`taken_of`), which frames are worth keeping
    (`is_worthy`), and how recent frames are counted (`maps`, `pointers`).
    """

    def __init__(self, limits: MemoryLimits):
        self._limits = limits
        self._conditioning: tuple[Moment, ...] = ()
        self._maps, self._pointers = self.maps(), self.pointers()
        self._reliable: tuple[Moment, ...] = ()
        self._watching = limits.reliable > 0

    def maps(self) -> Maps:
        """Where feature maps of recent frames are kept, empty."""
        return LatestFrames(self._limits.frames)

    def pointers(self) -> Pointers:
        """Where object pointers of recent frames are kept, empty."""
        return LatestFrames(self._limits.pointers)

    def taken_of(self, proposal: Proposal) -> int:
        """The mask that is taken."""
        return proposal.best

    def is_worthy(self, taken: Taken) -> bool:
        """Whether a frame is worth keeping; the window keeps all."""
        return True

    def views(self, now: int) -> list[View]:
        return [self.view(now)]

    def choose(self, proposals: Sequence[Proposal]) -> list[MaskChoice]:
        (proposal,) = proposals
        return [MaskChoice(0, self.taken_of(proposal))]

    def remember(self, taken: Sequence[Taken]) -> list[ObjectMask]:
        for each in taken:
            self._add(each.moment, self.is_worthy(each))
            self._watch(each)
        return [each.answer for each in taken]

    def condition(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        """Keep a frame with a given mask permanently.

        Of more than the limit those nearest in time are conditioning, as the package selects
        them (``max_cond_frames_in_attn``); the oldest is then one of the recent frames, or gone.
        """
        self._conditioning = (*self._conditioning, moment)
        if len(self._conditioning) > self._limits.conditioning:
            oldest = min(self._conditioning, key=lambda kept: kept.index)
            self._conditioning = tuple(kept for kept in self._conditioning if kept is not oldest)
            self._add(oldest, True)
        return [answer]

    def lose(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        self._maps, self._pointers = self._maps.cleared(), self._pointers.cleared()
        self._add(moment, False)
        self._reliable = ()
        return [answer]

    def rest(self) -> list[ObjectMask]:
        return []

    def fork(self) -> WindowMemory:
        """A memory of the same frames that goes its own way from now on."""
        return copy.copy(self)  # all that it holds are values

    def view(self, now: int) -> View:
        """The part of memory that frame ``now`` reads."""
        recent, pointers = self._maps.read(now), self._pointers.read(now)
        conditioning = self._kept()
        return View(
            moments=[*conditioning, *(moment for _, moment in recent)],
            ages=tuple(age for age, _ in recent),
            # The package's order, the latest first: sums round by it.
            pointers=[m.pointer for m in conditioning] + [pointer for _, pointer in pointers[::-1]],
            distances=[now - m.index for m in conditioning] + [age for age, _ in pointers[::-1]],
        )

    def _kept(self) -> Sequence[Moment]:
        """The frames without an age."""
        return self._conditioning

    def _add(self, moment: Moment, worthy: bool) -> None:
        self._maps = self._maps.added(moment.index, moment, worthy)
        self._pointers = self._pointers.added(moment.index, moment.pointer, worthy)

    def _watch(self, taken: Taken) -> None:
        """Until the first disappearance, note reliable frames; promote them there."""
        if not self._watching:
            return
        if taken.answer.visible:
            if taken.answer.confidence > self._limits.quality:
                latest = (*self._reliable, taken.moment)
                self._reliable = latest[-self._limits.reliable :]
            return
        known = {moment.index for moment in self._kept()}
        self._keep(tuple(moment for moment in self._reliable if moment.index not in known))
        self._reliable, self._watching = (), False

    def _keep(self, moments: Sequence[Moment]) -> None:
        """Make conditioning frames of recent ones."""
        indices = {moment.index for moment in moments}
        self._conditioning = (*self._conditioning, *moments)
        self._maps, self._pointers = self._maps.without(indices), self._pointers.without(indices)
