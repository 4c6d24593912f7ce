"""What passes between the steps of a network, and what it has for its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adapters.sam2.memories.record import Proposal
from adapters.sam2.scaling import ABSENT_LOGIT


@dataclass(frozen=True)
class Features:
    """Of one frame, for all objects.

    coarse     ``(1, d_model, h, w)`` at stride 16
    position   ``(h * w, 1, d_model)``, positional encoding of ``coarse``
    fine       at strides 4 and 8, already projected for the mask decoder
    """

    coarse: Tensor
    position: Tensor
    fine: list[Tensor]


@dataclass(frozen=True)
class MaskBatch:
    """Of ``B`` objects on one frame.

    logits    ``(B, 1, size / 4, size / 4) float32``
    score     ``(B, 1)``: above 0 the object is there
    iou       ``(B,)`` in [0, 1]: predicted IoU of the mask
    pointer   ``(B, d_model)``
    full      ``(B, 1, size, size) float32``: the logits at the working size, where the
              network has made them
    """

    logits: Tensor
    score: Tensor
    iou: Tensor
    pointer: Tensor
    full: Tensor | None = None

    def rows(self, rows: Sequence[int], logits: np.ndarray) -> MaskBatch:
        """Some of the objects, with these logits ``(B, h, w)`` of all in place of their own."""
        filled = torch.from_numpy(logits)[:, None].to(self.logits)[list(rows)]
        full = None if self.full is None else self.full[rows]
        return MaskBatch(filled, self.score[rows], self.iou[rows], self.pointer[rows], full)


def proposals_of(logits: Tensor, ious: Tensor, scores: Tensor, tokens: Tensor) -> list[Proposal]:
    """A proposal for each of ``B`` objects: logits ``(B, K, h, w)``, predicted IoU ``(B, K)``,
    object scores ``(B, 1)`` and tokens ``(B, K, d_model)``.

    The masks of an object that is not there are empty.
    """
    logits = torch.where(scores[:, :, None, None] > 0, logits, ABSENT_LOGIT)
    numbers = torch.cat([scores, ious], dim=1).tolist()
    return [
        Proposal(planes, score, tuple(values), row)
        for planes, (score, *values), row in zip(logits, numbers, tokens, strict=True)
    ]


@dataclass(frozen=True)
class MemoryParts:
    """Weights and heads that memory is made with.

    ages              ``(memory_frames, ...)``: positions in time of feature maps
    pointer_head      from tokens to object pointers
    absent_pointer    ``(1, d_model)``: the pointer to an object that is not there
    absent_map        ``(1, memory_dim)``, added to the feature map of one, or None
    distance_head     of pointers' positions in time, or None where they have none
    """

    ages: Tensor
    pointer_head: nn.Module
    absent_pointer: Tensor
    absent_map: Tensor | None
    distance_head: nn.Module | None
