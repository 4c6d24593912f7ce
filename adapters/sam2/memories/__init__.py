"""What one object remembers, and which of its masks are taken.

record     proposals of the network, what is taken of them, what is kept; `ObjectMemory`
recent     recent frames, by time or by worth
window     SAM 2's own memory, and what the others share with it
quality, motion, anchors, tree    memories that need no training
boxes      boxes of masks, and a filter that foresees them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.sam2.memories.anchors import AnchorMemory
from adapters.sam2.memories.motion import MotionMemory
from adapters.sam2.memories.quality import QualityMemory
from adapters.sam2.memories.record import ObjectMemory
from adapters.sam2.memories.tree import TreeMemory
from adapters.sam2.memories.window import MemoryLimits, WindowMemory

__all__ = ["MemoryKind", "MemoryLimits", "ObjectMemory"]

_PLAIN: Mapping[str, Callable[[MemoryLimits], ObjectMemory]] = {
    "window": WindowMemory,
    "anchors": AnchorMemory,
    "quality": QualityMemory,
    "motion": MotionMemory,
}


@dataclass(frozen=True)
class MemoryKind:
    """Which memory objects have.

    name         "window", "tree", "anchors", "quality" or "motion"
    hypotheses   of a tree
    lag          of a tree, in frames
    """

    name: str = "window"
    hypotheses: int = 3
    lag: int = 15

    def make(self, limits: MemoryLimits) -> ObjectMemory:
        """The memory of a new object."""
        if self.name == "tree":
            return TreeMemory(limits, self.hypotheses, self.lag)
        return _PLAIN[self.name](limits)
