"""Options of the networks of SAM 2's kind, whichever package runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.sam2.scaling import Scaling
from adapters.shared.testtime import FrameOptions
from stseg.config import option

if TYPE_CHECKING:
    from adapters.sam2.tracker import TrackerOptions

MEMORIES = ("window", "tree", "anchors", "quality", "motion")


@dataclass(frozen=True)
class TreeOptions:
    """How many hypotheses there are, and how long an answer may wait for them."""

    hypotheses: int = option(
        3, doc="Hypotheses of an object; each costs a run of the network but the encoder.", least=1
    )
    lag: int = option(
        15,
        doc="Frames that an answer is held back at most, until the hypotheses agree on it.",
        least=0,
    )


@dataclass(frozen=True)
class TrackingOptions(FrameOptions):
    """How objects are followed, and what is remembered of them."""

    chunk_size: int = option(
        -1,
        doc="Objects times configurations in one batch; -1: as many as pay on the device.",
        least=1,
        also=(-1,),
    )
    memory: str = option(
        "window",
        doc="What an object remembers: window (the latest frames, as SAM 2), tree (several "
        "hypotheses side by side), anchors (frames that tell it from look-alikes), quality (frames "
        "on which it was seen well) or motion (masks where it was going).",
        choices=MEMORIES,
    )
    tree: TreeOptions = option(TreeOptions, doc="`TreeOptions`, also as `tree.<name>`.")
    rcms_frames: int = option(
        0,
        doc="Reliable conditioned memory: frames that become conditioning frames at an "
        "object's first disappearance; 0: none, MOSEv2's baseline has 4.",
        least=0,
    )
    rcms_quality: float = option(
        0.6, doc="Only frames above this quality become conditioning frames.", least=0, most=1
    )
    hole_area: int = option(
        0, doc="Fill holes of at most this many low-resolution pixels; 0: none.", least=0
    )

    max_cond_frames_in_attn: int = option(
        8,
        doc="Given masks of an object, its first and corrections, that condition it, the latest "
        "ones; beside those of `rcms_frames`.",
        least=2,
    )

    def tracker_options(self, scalings: Sequence[Scaling]) -> TrackerOptions:
        """With the configurations that run side by side."""
        from adapters.sam2.memories import MemoryKind
        from adapters.sam2.tracker import TrackerOptions

        return TrackerOptions(
            scalings=tuple(scalings),
            chunk_size=self.chunk_size,
            rcms_frames=self.rcms_frames,
            rcms_quality=self.rcms_quality,
            hole_area=self.hole_area,
            conditioning=self.max_cond_frames_in_attn,
            memory=MemoryKind(self.memory, self.tree.hypotheses, self.tree.lag),
        )
