"""Masks that are where the object was going (SAMURAI, Yang et al. 2024).

Where the object has moved steadily for a while, a mask near the place that its motion leads to is
preferred to one of a slightly higher predicted IoU elsewhere, such as a look-alike's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.sam2.memories.boxes import Box, BoxFilter, box_iou, box_of
from adapters.sam2.memories.recent import WorthyFrames
from adapters.sam2.memories.record import MaskChoice, Moment, Proposal, Taken
from adapters.sam2.memories.window import Maps, MemoryLimits, Pointers, WindowMemory
from adapters.sam2.scaling import ObjectMask

MOTION_WEIGHT = 0.15
"""Share of the IoU with the foreseen box; the rest is predicted IoU."""

STABLE_FRAMES = 15
"""Frames in a row on which the object was seen well before its motion counts."""

STABLE_IOU = 0.3
"""Predicted IoU above which a frame counts as seen well."""

WORTHY_IOU = 0.5
"""Predicted IoU above which a frame is worth keeping."""


@dataclass(frozen=True)
class Motion:
    """How an object moves.

    filter   of its box; None where it was lost
    stable   frames in a row on which it was seen well
    """

    filter: BoxFilter | None = None
    stable: int = 0

    @property
    def is_steady(self) -> bool:
        return self.filter is not None and self.stable >= STABLE_FRAMES

    def foreseen(self) -> Motion:
        """One frame later, before anything was seen."""
        return replace(self, filter=self.filter.predicted() if self.filter else None)

    def seen(self, box: Box | None, well: bool) -> Motion:
        """After a frame; without a box, or not well, the object counts as lost."""
        if box is None or not well:
            return Motion()
        if self.filter is None:
            return Motion(BoxFilter.started(box), 1)
        return Motion(self.filter.updated(box), self.stable + 1)


class MotionMemory(WindowMemory):
    """Chooses masks by motion too; keeps the latest frames of some quality, and the one before."""

    def __init__(self, limits: MemoryLimits):
        super().__init__(limits)
        self._motion = Motion()
        self._agreement = 0.0

    def maps(self) -> Maps:
        return WorthyFrames(self._limits.frames - 1)

    def pointers(self) -> Pointers:
        return WorthyFrames(self._limits.pointers - 1)

    def choose(self, proposals: Sequence[Proposal]) -> list[MaskChoice]:
        self._motion = self._motion.foreseen()
        return super().choose(proposals)

    def taken_of(self, proposal: Proposal) -> int:
        boxes = [box_of(plane) for plane in proposal.planes()]
        best = proposal.best
        self._agreement = 1.0
        if self._motion.is_steady and self._motion.filter is not None:
            place = self._motion.filter.box
            near = [box_iou(box, place) for box in boxes]
            scores = [
                MOTION_WEIGHT * nearness + (1 - MOTION_WEIGHT) * iou
                for nearness, iou in zip(near, proposal.ious, strict=True)
            ]
            best = scores.index(max(scores))
            self._agreement = near[best]
        self._motion = self._motion.seen(boxes[best], proposal.ious[best] > STABLE_IOU)
        return best

    def is_worthy(self, taken: Taken) -> bool:
        return taken.iou > WORTHY_IOU and taken.proposal.score > 0 and self._agreement > 0

    def condition(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        self._motion = Motion().seen(box_of(answer.logits > 0), True)
        return super().condition(moment, answer)

    def lose(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        self._motion = Motion()
        return super().lose(moment, answer)
