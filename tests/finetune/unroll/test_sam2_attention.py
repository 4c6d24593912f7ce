"""Masks read from memory as SAM 2's attention reads it."""

from types import SimpleNamespace

import torch

from finetune.unroll.sam2_attention import read_masks, record_attention


def layer(weights):
    return SimpleNamespace(cross_attn_image=SimpleNamespace(last_weights=weights))


def test_masks_are_the_mean_over_layers_of_what_each_reads():
    """Two places in each of two frames; one layer looks at the first place, one at the last."""
    first = torch.zeros(1, 2, 4)
    first[..., 0] = 1
    last = torch.zeros(1, 2, 4)
    last[..., 3] = 1
    attention = SimpleNamespace(layers=[layer(first), layer(last)])
    masks = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.5]])]
    assert read_masks(attention, masks).tolist() == [[0.75, 0.75]]


def test_a_layer_is_hooked_once():
    attention = torch.nn.Linear(1, 1)
    for _ in range(2):
        record_attention(attention)
    assert attention.last_weights is None
    assert len(attention._forward_hooks) == 1
