"""Weights in half precision, and the card beside them."""

import pytest
import torch
from safetensors import safe_open
from test_finetune import SIZES, recipe

from adapters.checkpoints import load_network
from adapters.finetune.models import make_network, note_of, write_weights
from adapters.finetune.ship import card_of, write_half
from mose import InputError


def test_a_mask_bias_is_added_to_every_logit(tmp_path):
    network = make_network(recipe("xmem")).eval()
    write_weights(tmp_path / "xmem", "xmem", network.state_dict())
    source = tmp_path / "xmem.safetensors"
    found = {}
    for bias in (0.0, 0.75):
        count, size = write_half("xmem", source, tmp_path / f"{bias}.safetensors", bias)
        assert count == sum(t.numel() for t in network.state_dict().values())
        assert size == (tmp_path / f"{bias}.safetensors").stat().st_size
        half = load_network(tmp_path / f"{bias}.safetensors", "xmem").float().eval()
        features = half.encode_images(torch.full((1, 3, 32, 48), 0.3))
        readout = torch.ones(2, half.config.value_dim, 2, 3)
        sensory = torch.zeros(2, half.config.sensory_dim, 2, 3)
        with torch.inference_mode():
            found[bias], _ = half.decode(features, readout, sensory)
    torch.testing.assert_close(found[0.75], found[0.0] + 0.75, atol=1e-3, rtol=0)
    card = card_of(recipe("xmem"), "configs/x.yaml", "mine", count, size, {"clips": 50.0}, 0.75)
    assert "| added to mask logits | 0.75 |" in card
    assert "--name mine --clips DIR --mask-bias 0.75" in card
    assert "mask-bias" not in card_of(recipe("xmem"), "x.yaml", "mine", 1, 1, {})


def test_half_precision_keeps_what_shapes_do_not_tell(tmp_path):
    network = make_network(recipe("livos", sizes=SIZES["livos"] | {"normaliser": "place"}))
    write_weights(tmp_path / "livos", "livos", network.state_dict(), note=note_of(network))
    write_half("livos", tmp_path / "livos.safetensors", tmp_path / "half.safetensors", 0.5)
    assert load_network(tmp_path / "half.safetensors", "livos").config.normaliser == "place"
    with safe_open(tmp_path / "half.safetensors", "pt") as file:
        assert file.get_tensor("mask_decoder.pred.bias").dtype == torch.float16


def test_what_cannot_be_shipped_is_told(tmp_path):
    network = make_network(recipe("tmo", sizes={"resnet": [10, 12], "channels": 16}))
    write_weights(tmp_path / "tmo", "tmo", network.state_dict())
    source = tmp_path / "tmo.safetensors"
    with pytest.raises(InputError, match="--mask-bias is for xmem, cutie, livos"):
        write_half("tmo", source, tmp_path / "x.safetensors", 1.0)
    with pytest.raises(InputError, match="the recipe trains cutie"):
        write_half("cutie", source, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
