"""RepViT against package timm, which gave these numbers once: version 1.0.31, and torchvision by a
stand-in, because nothing of it is used."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from adapters.transformers.repvit import WIDTHS, RepVit, RepVitBackbone
from mose import InputError

ENTRIES = 676
MAPS = ((0.07147, 0.45854), (0.04016, 0.42986), (-0.09033, 0.50035), (0.03586, 0.48571))
"""Mean and deviation of timm's maps at strides 4 to 32."""


def seeded(state: dict[str, torch.Tensor], rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Weights by their names' order, on every platform alike."""
    filled = dict(state)
    for name in sorted(state):
        old = state[name]
        if old.dtype.is_floating_point:
            drawn = torch.from_numpy(rng.standard_normal(tuple(old.shape), dtype=np.float32))
            fan = old[0].numel() if old.dim() > 1 else 25
            variance = "running_var" in name
            filled[name] = drawn.abs() * 0.5 + 0.5 if variance else drawn * fan**-0.5
    return filled


def test_equals_timm():
    rng = np.random.default_rng(0)
    network = RepVit(*WIDTHS["repvit_m1"]).eval()
    state = network.state_dict()
    assert len(state) == ENTRIES
    network.load_state_dict(seeded(state, rng))
    image = torch.from_numpy(rng.standard_normal((1, 3, 64, 96), dtype=np.float32))
    with torch.inference_mode():
        maps = network(image)
    assert [tuple(each.shape[1:]) for each in maps] == [
        (48, 16, 24), (96, 8, 12), (192, 4, 6), (384, 2, 3),
    ]  # fmt: skip
    for each, (mean, deviation) in zip(maps, MAPS, strict=True):
        assert float(each.mean()) == pytest.approx(mean, abs=1e-4)
        assert float(each.std()) == pytest.approx(deviation, abs=1e-4)


@pytest.mark.parametrize(
    ("architecture", "arguments", "said"),
    [
        ("resnet50.a1_in1k", {"features_only": True}, "repvit_m1"),
        ("repvit_m1.dist_in1k", None, "feature maps"),
    ],
)
def test_refuses_what_it_is_not(architecture, arguments, said):
    with pytest.raises(InputError, match=said):
        RepVitBackbone(SimpleNamespace(architecture=architecture, model_args=arguments))
