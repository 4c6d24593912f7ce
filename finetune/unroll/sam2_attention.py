"""Makes visible to a loss what SAM 2's memory attention matches.

The true masks of the remembered frames are read as memory is read: by the softmax of queries and
keys over the places of memory (object pointers apart), at stride 16. From nothing, queries and
keys otherwise learn last, and their products grow until softmax picks single places and passes
no gradient on.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adapters.sam2.package import sam2_module


def record_attention(attention: Any) -> None:
    """Let a layer of memory attention keep the weights ``(M, h * w, T * h * w)`` of its last call.

    The hook stays, because gradient checkpointing runs the layer again and needs the same layer.
    """
    if not hasattr(attention, "last_weights"):
        attention.last_weights = None
        attention.register_forward_hook(_keep, with_kwargs=True)


def read_masks(memory_attention: Any, masks: list[Tensor]) -> Tensor:
    """``(M, h * w)`` in [0, 1]: masks ``(M, h * w)`` of the T frames in memory, as last read.

    The mean over layers.
    """
    stored = torch.cat(masks, 1)[..., None]
    layers = [layer.cross_attn_image.last_weights for layer in memory_attention.layers]
    return torch.stack([(weights @ stored)[..., 0] for weights in layers]).mean(0)


def _keep(attention: Any, args: object, named: dict[str, Tensor], result: object) -> None:
    query, memory = named["q"], named["k"]
    places = memory.shape[1] - int(named.get("num_k_exclude_rope", 0))
    rotate = sam2_module("modeling.position_encoding").apply_rotary_enc
    with torch.autocast(query.device.type, enabled=False):
        # Memory attention has one head.
        queries, keys = rotate(
            attention.q_proj(query.float())[:, None],
            attention.k_proj(memory[:, :places].float())[:, None],
            freqs_cis=attention.freqs_cis,
            repeat_freqs_k=attention.rope_k_repeat,
        )
        products = queries[:, 0] @ keys[:, 0].transpose(1, 2)
        attention.last_weights = (products * queries.shape[-1] ** -0.5).softmax(-1)
