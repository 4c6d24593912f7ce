"""Gated linear matching: a memory of constant size (LiVOS, Liu et al. 2024, section 3.2).

Linear attention keeps ``sum of key x value`` over all frames instead of the frames
themselves. Before a frame is added, what was there fades by a gate that the frame sets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.networks.affinity import tokens


@dataclass(frozen=True)
class LinearState:
    """What linear matching remembers of N objects that arrived in G groups.

    matrix     ``(B, N, K, V)`` gated sum of key-value products
    key_sums   ``(B, G, K, h, w)`` keys summed since the arrival of each group; never gated
    groups     ``(N,) int64`` the group of each object

    Immutable: every method returns a new state, so that training can look back through it.
    """

    matrix: Tensor
    key_sums: Tensor
    groups: Tensor

    @staticmethod
    def empty(keys: Tensor, value_dim: int) -> LinearState:
        """Without objects, for maps like ``keys`` ``(B, K, h, w)``."""
        batch, key_dim, height, width = keys.shape
        return LinearState(
            keys.new_zeros(batch, 0, key_dim, value_dim),
            keys.new_zeros(batch, 0, key_dim, height, width),
            torch.zeros(0, dtype=torch.long, device=keys.device),
        )

    def extended(self, objects: int) -> LinearState:
        """With a new group of ``objects`` objects of which nothing is known yet."""
        matrix, sums = self.matrix, self.key_sums
        blank = matrix.new_zeros(matrix.shape[0], objects, *matrix.shape[2:])
        unseen = sums.new_zeros(sums.shape[0], 1, *sums.shape[2:])
        group = self.groups.new_full((objects,), sums.shape[1])
        return LinearState(
            torch.cat([matrix, blank], dim=1),
            torch.cat([sums, unseen], dim=1),
            torch.cat([self.groups, group]),
        )

    def read(self, keys: Tensor) -> Tensor:
        """``(B * N, V, h, w)`` for keys ``(B, K, h, w)`` of the frame in question.

        The normaliser is one number per group for the whole frame.
        """
        weights = torch.einsum("bkhw,bgkhw->bg", keys, self.key_sums)[:, self.groups]
        matrix = self.matrix / weights[..., None, None]
        mixed = tokens(keys).unsqueeze(1) @ matrix
        return mixed.flatten(0, 1).transpose(1, 2).unflatten(2, keys.shape[-2:])

    def seen(self, keys: Tensor) -> LinearState:
        """With the keys of a frame added to the normalisers."""
        return replace(self, key_sums=self.key_sums + keys[:, None])

    def written(self, keys: Tensor, values: Tensor, gate: Tensor) -> LinearState:
        """With a frame added: ``matrix * gate + sum over pixels of key x value``.

        keys ``(B, K, h, w)``, values ``(B * N, V, h, w)``, gate ``(B, V)`` in [0, 1]
        """
        rows = tokens(values).unflatten(0, self.matrix.shape[:2])
        product = keys.flatten(2).unsqueeze(1) @ rows
        return replace(self, matrix=self.matrix * gate[:, None, None] + product)
