"""What a training starts from."""

import pytest
import torch
from test_finetune import recipe

from adapters.finetune.models import make_network, write_weights
from mose import InputError


def test_a_warm_start_takes_what_two_models_share(tmp_path):
    xmem = make_network(recipe("xmem"))
    with torch.no_grad():
        for parameter in xmem.parameters():
            parameter.fill_(0.25)
    write_weights(tmp_path / "xmem", "xmem", xmem.state_dict())
    cold = make_network(recipe("cutie")).state_dict()
    warm = make_network(recipe("cutie", warm_start=str(tmp_path / "xmem.safetensors")))
    changed = {n for n, t in warm.state_dict().items() if not torch.equal(t, cold[n])}
    assert "image_encoder.conv1.weight" in changed
    assert any(name.startswith("mask_encoder.") for name in changed)
    assert not any("object_transformer" in name for name in changed)
    shared = {n: t for n, t in warm.named_parameters() if n in changed}
    assert all((t == 0.25).all() for t in shared.values())


def test_a_warm_start_needs_something_to_share(tmp_path):
    torch.save(
        {"fc.weight": torch.zeros(2), "layer1.0.conv1.weight": torch.zeros(2)}, tmp_path / "r.pth"
    )
    with pytest.raises(InputError, match="looks like a plain ResNet classifier"):
        make_network(recipe("xmem", warm_start=str(tmp_path / "r.pth")))
    with pytest.raises(InputError, match="goes with sizes"):
        recipe("xmem", sizes={}, weights="x.pth", warm_start="y.pth")
