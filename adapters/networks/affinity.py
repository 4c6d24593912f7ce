"""Reading a memory by similarity of keys (XMem, Cheng and Schwing 2022, Eq. 2-4, 6).

The similarity of query j and memory token i,

    S_ij = -s_i / sqrt(C) * sum_c e_cj (k_ci - q_cj)^2,

with the token's shrinkage s and the query's selection e, expands into an inner product of
a row that depends on the token only and a row that depends on the query only. So a memory
stores rows, and similarity is one matrix product. Tokens and queries come first, channels
last: a readout then gathers whole rows of values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 32
"""Columns per block in the two-step top-k."""


def tokens(x: Tensor) -> Tensor:
    """``(C, h, w)`` -> ``(h * w, C)``, one row per position, or ``(N, C, h, w)`` with N kept."""
    return x.flatten(-2).transpose(-1, -2)


def memory_rows(key: Tensor, shrinkage: Tensor) -> Tensor:
    """Keys ``(..., T, C)``, shrinkage ``(..., T, 1)`` -> rows ``(..., T, 2 C + 1)``."""
    scale = shrinkage / math.sqrt(key.shape[-1])
    return torch.cat([key.square() * scale, key * scale, scale], -1)


def query_rows(key: Tensor, selection: Tensor | None = None) -> Tensor:
    """Keys and selection ``(..., Q, C)`` (None: all ones) -> rows ``(..., Q, 2 C + 1)``."""
    if selection is None:
        selection = torch.ones_like(key)
    weighted = selection * key
    constant = (weighted * key).sum(-1, keepdim=True)
    return torch.cat([-selection, 2 * weighted, -constant], -1)


def similarity(queries: Tensor, memory: Tensor) -> Tensor:
    """``(..., Q, T)`` similarities (at most about 0) from `query_rows` and `memory_rows`."""
    return queries @ memory.mT


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row of ``(Q, T)``: values and columns ``(Q, k')``, unsorted.

    ``k' = min(k, T)``. Two steps where T is large: the k largest lie in the k blocks with
    the largest maxima, so only those are searched.
    """
    rows, columns = scores.shape
    k = min(k, columns)
    blocks = columns // BLOCK
    if scores.is_cuda or blocks < 2 * k:
        return torch.topk(scores, k, dim=1, sorted=False)
    # Block b is {b, b + blocks, b + 2 blocks, ...}: maxima then run along contiguous rows.
    inner = scores[:, : blocks * BLOCK].unflatten(1, (BLOCK, blocks))
    best = torch.topk(inner.amax(1), k, dim=1, sorted=False).indices
    offsets = torch.arange(BLOCK, device=scores.device) * blocks
    rest = torch.arange(blocks * BLOCK, columns, device=scores.device).expand(rows, -1)
    candidates = torch.cat([(best[:, :, None] + offsets).flatten(1), rest], 1)
    values, positions = torch.topk(scores.gather(1, candidates), k, dim=1, sorted=False)
    return values, candidates.gather(1, positions)


def top_k_softmax(scores: Tensor, k: int | None) -> tuple[Tensor, Tensor]:
    """Softmax over the ``k`` largest of each row (None: all): weights and columns ``(Q, k')``.

    The reference exponentiates without subtracting the maximum. Subtracting it gives the same
    result, and does not underflow to 0 / 0 for a query that resembles nothing.
    """
    if k is None:
        columns = torch.arange(scores.shape[1], device=scores.device).expand_as(scores)
        return scores.softmax(1), columns
    values, columns = top_k(scores, k)
    return values.softmax(1), columns


def readout(values: Tensor, weights: Tensor, columns: Tensor) -> Tensor:
    """Weighted sums of value rows.

    values ``(N, T, C)``, weights and columns ``(Q, k)`` -> ``(N, Q, C)``. Only the chosen
    rows are touched.
    """
    weights = weights.to(values.dtype)
    return torch.stack(
        [F.embedding_bag(columns, rows, per_sample_weights=weights, mode="sum") for rows in values]
    )


class ImageFeatures(NamedTuple):
    """What XMem and Cutie say of images; each entry has the images in its first dimension.

    pixels         ``(B, P, h, w)`` features at stride 16
    key            ``(B, K, h, w)``
    shrinkage      ``(B, 1, h, w)``, at least 1
    selection      ``(B, K, h, w)`` in [0, 1]
    skip8, skip4   what the mask decoder adds at strides 8 and 4
    """

    pixels: Tensor
    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    skip8: Tensor
    skip4: Tensor


def read_frames(query: ImageFeatures, memory: Sequence[ImageFeatures], values: Tensor) -> Tensor:
    """Readout ``(B * N, V, h, w)`` of whole frames, for training: softmax without top-k.

    query    of B images: ``key`` and ``selection`` ``(B, C, h, w)``
    memory   of T frames before: ``key``, and ``shrinkage`` ``(B, 1, h, w)``
    values   ``(B, N, T, V, h, w)``
    """
    asked = query_rows(tokens(query.key), tokens(query.selection))
    rows = torch.cat([memory_rows(tokens(f.key), tokens(f.shrinkage)) for f in memory], 1)
    weights = similarity(asked, rows).softmax(-1)
    flat = values.movedim(2, 3).flatten(3).flatten(1, 2)
    mixed = (flat @ weights.mT).unflatten(1, (values.shape[1], -1)).flatten(0, 1)
    return mixed.unflatten(2, query.key.shape[-2:])


def usage(weights: Tensor, columns: Tensor, count: int) -> Tensor:
    """How much each of ``count`` tokens was read: ``(T,)``, the sum of weights over queries."""
    total = torch.zeros(count, device=weights.device, dtype=torch.float32)
    return total.index_add_(0, columns.flatten(), weights.flatten().float())


def most_used(use: Tensor, life: Tensor, count: int) -> Tensor:
    """Positions of the ``count`` tokens with the largest ``use / life``: ``(count',)``."""
    return torch.topk(use / life, min(count, use.shape[0])).indices


def potentiation(
    key: Tensor, shrinkage: Tensor, prototype_key: Tensor, prototype_selection: Tensor
) -> Tensor:
    """Weights ``(prototypes, T)`` with which candidates are summarised (XMem Sec. 3.3.2).

    The softmax over all candidates of their similarity to each prototype: the value and
    the shrinkage of a prototype are the candidates' weighted by it.
    """
    rows = query_rows(prototype_key, prototype_selection)
    return similarity(rows, memory_rows(key, shrinkage)).softmax(1)
