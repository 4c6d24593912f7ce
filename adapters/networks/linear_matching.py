"""Gated linear matching: a memory of constant size (LiVOS, Liu et al. 2024, section 3.2).

Linear attention keeps ``sum of key x value`` over all frames instead of the frames themselves.
Before a frame is added, the sum so far fades by a gate that the frame sets.

What is read is divided by a normaliser:

frame   as published: one number for the whole frame, of keys that never fade. What is read is
        smaller the more places a frame has, the longer a video lasts and the rarer a key is.
place   that of linear attention (Katharopoulos et al. 2020, Eq. 9), one for every place and
        channel, of keys that fade as the values do: what is read is a mean of values.
regression   the products of keys with keys, which fade as those of keys with values do. What is
        read is the ridge regression of values on keys, the best that a matrix of this size can
        remember, where sums of products blur what keys have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from adapters.networks.affinity import tokens

NORMALISERS = ("frame", "place", "regression")
LEAST_WEIGHT = 1e-6
"""The least weight of memory at a place; less counts as nothing."""
RIDGE = 2e-5
"""Of the regression, as a share of the largest channel's sum of squares: where all places look the
same, products of keys have rank 1, and with 3e-6 float32 already takes them for indefinite."""


@dataclass(frozen=True)
class LinearState:
    """What linear matching remembers of N objects that arrived in G groups.

    matrix     ``(B, N, K, V)`` gated sum of key-value products
    key_sums   ``(B, G, K, h, w)`` keys summed since the arrival of each group; never gated
    groups     ``(N,) int64`` the group of each object
    normaliser one of `NORMALISERS`
    faded      what the normaliser keeps, gated as ``matrix`` is: place ``(B, G, K, V)`` keys
               summed over places, regression ``(B, G, K, K)`` keys times keys; frame None

    Immutable: every method returns a new state, so that training can look back through it.
    """

    matrix: Tensor
    key_sums: Tensor
    groups: Tensor
    normaliser: str = "frame"
    faded: Tensor | None = None

    @staticmethod
    def empty(keys: Tensor, value_dim: int, normaliser: str = "frame") -> LinearState:
        """Without objects, for maps like ``keys`` ``(B, K, h, w)``."""
        batch, key_dim, height, width = keys.shape
        widths = {"place": value_dim, "regression": key_dim}
        return LinearState(
            keys.new_zeros(batch, 0, key_dim, value_dim),
            keys.new_zeros(batch, 0, key_dim, height, width),
            torch.zeros(0, dtype=torch.long, device=keys.device),
            normaliser,
            keys.new_zeros(batch, 0, key_dim, widths[normaliser]) if normaliser in widths else None,
        )

    def extended(self, objects: int) -> LinearState:
        """The state with a new group of ``objects`` objects, about which nothing is known yet."""
        group = self.groups.new_full((objects,), self.key_sums.shape[1])
        return LinearState(
            _longer(self.matrix, objects),
            _longer(self.key_sums, 1),
            torch.cat([self.groups, group]),
            self.normaliser,
            None if self.faded is None else _longer(self.faded, 1),
        )

    def read(self, keys: Tensor) -> Tensor:
        """``(B * N, V, h, w)`` for keys ``(B, K, h, w)`` of the frame in question."""
        asked = tokens(keys).unsqueeze(1)
        if self.faded is None:
            weights = torch.einsum("bkhw,bgkhw->bg", keys, self.key_sums)[:, self.groups]
            mixed = asked @ (self.matrix / weights[..., None, None])
        elif self.normaliser == "regression":
            mixed = self._regression(asked)
        else:
            weights = (asked @ self.faded).clamp(min=LEAST_WEIGHT)
            mixed = (asked @ self.matrix) / weights[:, self.groups]
        return mixed.flatten(0, 1).transpose(1, 2).unflatten(2, keys.shape[-2:])

    def _regression(self, asked: Tensor) -> Tensor:
        """``(B, N, h * w, V)`` for keys ``(B, 1, h * w, K)``, in full precision."""
        assert self.faded is not None
        with torch.autocast(asked.device.type, enabled=False):
            squares = self.faded.diagonal(dim1=-2, dim2=-1)
            ridge = RIDGE * squares.amax(-1) + LEAST_WEIGHT
            products = self.faded + ridge[..., None].expand_as(squares).diag_embed()
            fits = []
            for group, product in enumerate(products.unbind(1)):
                # All values of all objects that share their keys are solved for at once.
                sums = self.matrix[:, self.groups == group]
                fit = _Solved.apply(product, sums.transpose(1, 2).flatten(2))
                fits.append(fit.unflatten(2, sums.shape[1::2]).transpose(1, 2))
            # Objects are numbered as they arrived, so groups follow each other.
            return asked @ torch.cat(fits, 1)

    def seen(self, keys: Tensor) -> LinearState:
        """With the keys of a frame added to the normalisers."""
        return replace(self, key_sums=self.key_sums + keys[:, None])

    def written(self, keys: Tensor, values: Tensor, gate: Tensor) -> LinearState:
        """With a frame added: ``matrix * gate + sum over pixels of key x value``.

        keys ``(B, K, h, w)``, values ``(B * N, V, h, w)``, gate ``(B, V)`` in [0, 1]; a
        regression, whose products of keys serve all channels, fades by the gate's mean
        """
        rows = tokens(values).unflatten(0, self.matrix.shape[:2])
        if self.normaliser == "regression":
            gate = gate.mean(1, keepdim=True)
        kept, faded = gate[:, None, None], self.faded
        with torch.autocast(keys.device.type, enabled=False):
            flat = keys.flatten(2).unsqueeze(1)
            product = flat @ rows
            if faded is not None and self.normaliser == "place":
                faded = faded * kept + flat.sum(3, keepdim=True)
            elif faded is not None:
                faded = faded * kept + flat @ flat.mT
        return replace(self, matrix=self.matrix * kept + product, faded=faded)


class _Solved(torch.autograd.Function):
    """``X`` of ``A X = Y`` for symmetric positive ``A`` ``(B, K, K)`` and ``Y`` ``(B, K, M)``.

    Its gradients solve the same system; through the factors of ``A`` they take five times as long.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, y: Tensor) -> Tensor:
        factor = torch.linalg.cholesky(a)
        x = torch.cholesky_solve(y, factor)
        ctx.save_for_backward(factor, x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        factor, x = ctx.saved_tensors
        of_y = torch.cholesky_solve(gradient, factor)
        return -of_y @ x.mT, of_y


def _longer(x: Tensor, count: int) -> Tensor:
    """With ``count`` more entries of zeros in the second dimension."""
    return torch.cat([x, x.new_zeros(x.shape[0], count, *x.shape[2:])], dim=1)
