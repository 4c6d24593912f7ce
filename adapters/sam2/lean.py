"""Removes repeated work from the package's modules; their answers stay the same to the bit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def make_lean(model: Any, size: int) -> None:
    """Compute once, in place, what the package computes for every frame or every object.

    model   SAM 2, for inference only
    size    its working size

    Positions depend on the weights alone. Self-attention of memory attention's first layer
    sees a frame before it meets anyone's memory, so it is the same for all objects of a
    batch: all rows of what memory attention is given must be equal.
    """
    trunk, prompts = model.image_encoder.trunk, model.sam_prompt_encoder
    if hasattr(trunk, "_get_pos_embed"):
        learned = trunk._get_pos_embed((size // 4, size // 4))
        trunk._get_pos_embed = lambda size: learned
    dense = prompts.get_dense_pe()
    prompts.get_dense_pe = lambda: dense
    for encoding in (
        model.image_encoder.neck.position_encoding,
        model.memory_encoder.position_encoding,
    ):
        encoding.forward = _Sine(encoding)
    first = model.memory_attention.layers[0]
    attend = first._forward_sa
    first._forward_sa = lambda tokens, position: attend(tokens[:1], position[:1]).expand(
        len(tokens), -1, -1
    )


class _Sine:
    """A sine encoding that makes no copies of what it knows."""

    def __init__(self, encoding: Any):
        self._make = encoding.forward
        self._known: dict[tuple[int, int, torch.device], Tensor] = {}

    def __call__(self, like: Tensor) -> Tensor:
        """``(B, channels, h, w)`` of a feature map of that size; not to be written to."""
        key = (*like.shape[-2:], like.device)
        if key not in self._known:
            self._known[key] = self._make(like[:1])
        return self._known[key].expand(len(like), -1, -1, -1)
