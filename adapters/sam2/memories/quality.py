"""Frames by their quality, the rule of SAM 3 (Carion et al. 2025).

A frame on which the object is absent, or its mask is bad, does not enter memory. So the frames on
which the object was last seen well stay there for as long as it is away. The published code decides
for all objects of a batch together; here this is decided for each object.
"""

from __future__ import annotations

import math

from adapters.sam2.memories.recent import WorthyFrames
from adapters.sam2.memories.record import Taken
from adapters.sam2.memories.window import Maps, Pointers, WindowMemory

LEAST_QUALITY = 0.01
"""As in SAM 3 (``mf_threshold``)."""


class QualityMemory(WindowMemory):
    """The latest frames of some quality, and the one before in any case."""

    def maps(self) -> Maps:
        return WorthyFrames(self._limits.frames - 1)

    def pointers(self) -> Pointers:
        return WorthyFrames(self._limits.pointers - 1)

    def is_worthy(self, taken: Taken) -> bool:
        return frame_quality(taken.proposal.score, taken.iou) > LEAST_QUALITY


def frame_quality(score: float, iou: float) -> float:
    """In [0, 1]: 2 sigmoid(object score) - 1 where the object is there, times predicted IoU."""
    return math.tanh(score / 2) * iou if score > 0 else 0.0
