"""Frames that tell the object from a look-alike (DAM4SAM, Videnovic et al. 2025).

The three masks of a frame often disagree where something looks like the object: one of them takes
it in. Such a frame, if the chosen mask is sure, shows both apart from each other and is kept as an
anchor, without a place in time. Beside the anchors a few recent frames follow the object's looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import cv2
import numpy as np

from adapters.sam2.memories.boxes import box_iou, box_of
from adapters.sam2.memories.recent import WorthyFrames
from adapters.sam2.memories.record import Moment, Taken
from adapters.sam2.memories.window import Maps, MemoryLimits, WindowMemory
from adapters.sam2.scaling import ObjectMask

RECENT_FRAMES, STRIDE = 3, 5
"""Recent frames with feature maps: the one before, and others whose index is a multiple."""

ANCHORS = 4
"""Anchors at most; the oldest gives way."""

ANCHOR_IOU = 0.8
"""Predicted IoU above which the chosen mask is sure."""

ANCHOR_GAP = 5
"""Frames between two anchors, at least; the frame with the given mask counts as one."""

AREAS, AREA_CHANGE = 10, 0.2
"""The area must be within this share of the median of so many frames on which it was seen."""

APART = 0.7
"""IoU of boxes, of the chosen mask without and with what another takes in, up to which that shows
a look-alike."""


class AnchorMemory(WindowMemory):
    """Anchors, and recent frames at a stride."""

    def __init__(self, limits: MemoryLimits):
        super().__init__(limits)
        self._anchors: tuple[Moment, ...] = ()
        self._areas: tuple[int, ...] = ()
        self._last_anchor = -1

    def maps(self) -> Maps:
        return WorthyFrames(RECENT_FRAMES)

    def is_worthy(self, taken: Taken) -> bool:
        return taken.answer.visible and taken.moment.index % STRIDE == 0

    def remember(self, taken: Sequence[Taken]) -> list[ObjectMask]:
        decided = super().remember(taken)
        for each in taken:
            planes = each.proposal.planes()
            self._consider(each, planes)
            self._note(planes[each.choice.mask])
        return decided

    def condition(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        self._last_anchor = moment.index
        self._note(answer.logits > 0)
        return super().condition(moment, answer)

    def _kept(self) -> Sequence[Moment]:
        return (*self._conditioning, *self._anchors)

    def _note(self, mask: np.ndarray) -> None:
        area = int(np.count_nonzero(mask))
        if area:
            self._areas = (*self._areas, area)[-AREAS:]

    def _consider(self, taken: Taken, planes: np.ndarray) -> None:
        """Make an anchor of a frame that is worth it."""
        moment, mask = taken.moment, planes[taken.choice.mask]
        others = np.delete(planes, taken.choice.mask, axis=0)
        if (
            taken.answer.visible
            and taken.iou > ANCHOR_IOU
            and moment.index - self._last_anchor > ANCHOR_GAP
            and is_usual(int(np.count_nonzero(mask)), self._areas)
            and any(shows_another(mask, other) for other in others)
        ):
            self._anchors = (*self._anchors, moment)[-ANCHORS:]
            self._last_anchor = moment.index
            self._maps = self._maps.without({moment.index})
            self._pointers = self._pointers.without({moment.index})


def is_usual(area: int, before: Sequence[int]) -> bool:
    """Whether an area is near the median of those before."""
    usual = median(before) if before else 0
    return usual > 0 and abs(area - usual) <= AREA_CHANGE * usual


def shows_another(mask: np.ndarray, alternative: np.ndarray) -> bool:
    """Whether an alternative mask takes in something far from the chosen one; both
    ``(h, w) bool``.

    The box of the chosen mask is compared with that of it and the largest 8-connected part of the
    alternative together.
    """
    if not mask.any() or not alternative.any():
        return False
    _, parts, stats, _ = cv2.connectedComponentsWithStats(
        alternative.astype(np.uint8), connectivity=8
    )
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return box_iou(box_of(mask), box_of(mask | (parts == largest))) <= APART
