"""What the network proposes for an object, what is taken of it, and what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from adapters.sam2.scaling import ObjectMask


@dataclass(frozen=True)
class Moment:
    """One remembered frame of one object.

    index      frame index
    features   ``(tokens, memory_dim)``, bfloat16 in SAM 2
    pointer    ``(d_model,)``
    """

    index: int
    features: Tensor
    pointer: Tensor


@dataclass(frozen=True)
class View:
    """What is in memory for one frame.

    moments     frames with feature maps: conditioning ones first
    ages        of those that are not conditioning, in frames: 1 is the frame before. A memory
                that chooses its frames counts those chosen instead
    pointers    object pointers
    distances   how many frames back each of them is, or how many chosen ones
    """

    moments: list[Moment]
    ages: tuple[int, ...]
    pointers: list[Tensor]
    distances: list[int]

    @property
    def shape(self) -> tuple[int, tuple[int, ...], int]:
        """Views of the same shape can be put in one batch."""
        return len(self.moments), self.ages, len(self.pointers)


@dataclass(frozen=True)
class Proposal:
    """The K masks that the network proposes for one object on a frame, given one view of it.

    logits   ``(K, h, w) float32``, at a quarter of the working size
    score    above 0 the object is there
    ious     ``(K,)`` in [0, 1]: predicted IoU of each mask
    tokens   ``(K, d_model)``: of the mask decoder, of which object pointers are made
    """

    logits: Tensor
    score: float
    ious: tuple[float, ...]
    tokens: Tensor

    @property
    def best(self) -> int:
        """The mask of the highest predicted IoU."""
        return self.ious.index(max(self.ious))

    def planes(self) -> np.ndarray:
        """``(K, h, w) bool``."""
        return (self.logits > 0).cpu().numpy()


@dataclass(frozen=True)
class MaskChoice:
    """One mask among proposals: the number of the proposal, and of the mask in it."""

    proposal: int
    mask: int


@dataclass(frozen=True)
class Taken:
    """A mask that was chosen, once it is encoded.

    moment     what can be remembered of it
    answer     the mask as it is given out
    proposal   where it came from
    choice     which one it was
    """

    moment: Moment
    answer: ObjectMask
    proposal: Proposal
    choice: MaskChoice

    @property
    def iou(self) -> float:
        """The predicted IoU of the mask."""
        return self.proposal.ious[self.choice.mask]


class ObjectMemory(Protocol):
    """What is remembered of one object, and which masks are taken for it.

    Every frame on which the object is followed goes through `views`, `choose` and `remember`,
    in this order; one with a given mask through `condition` or `lose`. The last three return
    the masks that are now decided, those of all frames in their order; `rest` returns what is
    left when the video ends.
    """

    def views(self, now: int) -> list[View]:
        """What the network is to read for frame ``now``; it answers each with a proposal."""
        ...

    def choose(self, proposals: Sequence[Proposal]) -> list[MaskChoice]:
        """Which masks are taken; one proposal for each view."""
        ...

    def remember(self, taken: Sequence[Taken]) -> list[ObjectMask]:
        """Remember the masks that were chosen, in the order of the choices."""
        ...

    def condition(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        """Keep a frame with a given mask, which holds from then on."""
        ...

    def lose(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        """The object is given as absent: forget the frames that led there."""
        ...

    def rest(self) -> list[ObjectMask]:
        """What is not decided yet, as it looks best now."""
        ...
