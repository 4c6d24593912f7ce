"""The masks that come with a frame, as a network takes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CORRECTED_FRAMES = 4
"""Corrected frames that a memory keeps for good, the latest ones: as many more than the frame of
the first mask keep a readout within twice the tokens of Cutie's five memory frames."""


@dataclass(frozen=True)
class GivenPlanes:
    """Masks at the working size, padded.

    positions   of the objects that are corrected among the N that are followed, ascending
    planes      ``(M + K, H, W)`` of 0 and 1: of those M objects, empty where one is gone, then
                of K new objects
    """

    positions: tuple[int, ...]
    planes: Tensor

    @property
    def new(self) -> int:
        """Number of new objects."""
        return len(self.planes) - len(self.positions)

    def covers(self, objects: int) -> bool:
        """Whether the mask of each of this many followed objects is given here."""
        return len(self.positions) == objects

    def merged(self, masks: Tensor | None) -> Tensor:
        """With predicted masks ``(N, H, W)``: ``(N + K, H, W)``. Where something is given,
        nothing else is. None: all objects that are followed are corrected."""
        if masks is None:
            return self.planes
        corrected, new = self.planes.split([len(self.positions), self.new])
        masks = masks.masked_fill(self.planes.amax(0) > 0, 0)
        masks[list(self.positions)] = corrected
        return torch.cat([masks, new])
