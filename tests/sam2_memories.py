"""Memories of SAM 2 without a network: what would be proposed is written down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from adapters.sam2.memories.record import MaskChoice, Moment, ObjectMemory, Proposal, Taken
from adapters.sam2.scaling import ABSENT_LOGIT, ObjectMask

SIDE = 16


def moment(index: int) -> Moment:
    return Moment(index, torch.zeros(4, 2), torch.full((3,), float(index)))


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """``(16, 16) bool``."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top:bottom, left:right] = True
    return mask


ANYWHERE = rectangle(2, 2, 6, 6)


def proposal(
    ious: Sequence[float], score: float = 5.0, masks: Sequence[np.ndarray] = ()
) -> Proposal:
    """Masks of these predicted IoU; the same one everywhere where none are given."""
    planes = np.stack(masks or [ANYWHERE] * len(ious))
    logits = np.where(planes & (score > 0), 4.0, -4.0 if score > 0 else ABSENT_LOGIT)
    return Proposal(
        torch.from_numpy(logits.astype(np.float32)), score, tuple(ious), torch.zeros(len(ious), 3)
    )


def answer_of(proposed: Proposal, mask: int = 0, confidence: float = 1.0) -> ObjectMask:
    there = proposed.score > 0
    return ObjectMask(proposed.logits[mask].numpy(), there, float(there), confidence)


def given(memory: ObjectMemory, index: int, mask: np.ndarray = ANYWHERE) -> list[ObjectMask]:
    """Give a mask, which may be empty."""
    answer = answer_of(proposal([1.0], masks=[mask]))
    take = memory.condition if mask.any() else memory.lose
    return take(moment(index), answer)


def follow(
    memory: ObjectMemory, index: int, *proposals: Proposal, confidence: float = 1.0
) -> list[ObjectMask]:
    """Follow the object to a frame on which each view of the memory is answered so."""
    assert len(memory.views(index)) == len(proposals)
    taken = []
    for choice in memory.choose(proposals):
        own = proposals[choice.proposal]
        taken.append(Taken(moment(index), answer_of(own, choice.mask, confidence), own, choice))
    return memory.remember(taken)


def frames(memory: ObjectMemory, now: int, view: int = 0) -> list[int]:
    """The frames whose feature maps are read."""
    return [each.index for each in memory.views(now)[view].moments]


def chosen(memory: ObjectMemory, *proposals: Proposal) -> list[tuple[int, int]]:
    """(proposal, mask) of what a memory would take."""
    choices: list[MaskChoice] = memory.choose(proposals)
    return [(choice.proposal, choice.mask) for choice in choices]
