"""Weights in half precision, and the card beside them."""

import re
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from small_recipes import SIZES, recipe

from adapters.weights.checkpoints import load_network, load_state
from finetune import card, ship
from finetune.card import Card
from finetune.models import make_network, stored_config, write_weights
from finetune.recipe import ValidationOptions
from finetune.ship import write_half
from mose import InputError


def test_a_card_tells_what_it_is_of(tmp_path):
    network = make_network(recipe("xmem")).eval()
    write_weights(tmp_path / "xmem", "xmem", network.state_dict())
    target = tmp_path / "half.safetensors"
    shipped = write_half("xmem", tmp_path / "xmem.safetensors", target)
    assert shipped.parameters == sum(t.numel() for t in network.state_dict().values())
    assert shipped.bytes == target.stat().st_size
    made = Card("mine", recipe("xmem"), "configs/x.yaml", shipped, {"clips": 50.04}, "less")
    assert "| note | less |" in made.text()
    assert "| clips | 50.0 |" in made.text()
    assert "--config configs/x.yaml" in made.text()
    assert "| note |" not in replace(made, note=None).text()


def test_half_precision_keeps_what_shapes_do_not_tell(tmp_path):
    network = make_network(recipe("livos", sizes=SIZES["livos"] | {"normaliser": "place"}))
    write_weights(tmp_path / "livos", "livos", network.state_dict(), note=stored_config(network))
    write_half("livos", tmp_path / "livos.safetensors", tmp_path / "half.safetensors")
    assert load_network(tmp_path / "half.safetensors", "livos").config.normaliser == "place"
    with safe_open(tmp_path / "half.safetensors", "pt") as file:
        assert file.get_tensor("mask_decoder.pred.bias").dtype == torch.float16


def test_what_cannot_be_shipped_is_told(tmp_path):
    network = make_network(recipe("tmo", sizes={"resnet": [10, 12], "channels": 16}))
    write_weights(tmp_path / "tmo", "tmo", network.state_dict())
    source = tmp_path / "tmo.safetensors"
    with pytest.raises(InputError, match="the recipe trains cutie"):
        write_half("cutie", source, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_the_mean_of_two_checkpoints_is_shipped(tmp_path):
    for name, value in ("one", 1.0), ("other", 2.0):
        network = make_network(recipe("xmem"))
        state = {n: torch.full_like(t, value) for n, t in network.state_dict().items()}
        write_weights(tmp_path / name, "xmem", state)
    one, other, target = (tmp_path / f"{n}.safetensors" for n in ("one", "other", "mean"))
    write_half("xmem", one, target, other)
    mean = load_state(target)
    assert all((t == 1.5).all() for t in mean.values() if t.is_floating_point())
    counts = [t for t in mean.values() if not t.is_floating_point()]
    assert counts
    assert all((t == 1).all() for t in counts)


def test_the_mean_of_two_networks_is_refused(tmp_path):
    for name in "xmem", "tmo":
        sizes = {"resnet": [10, 12], "channels": 16} if name == "tmo" else SIZES[name]
        network = make_network(recipe(name, sizes=sizes))
        write_weights(tmp_path / name, name, network.state_dict())
    xmem, tmo, target = (tmp_path / f"{n}.safetensors" for n in ("xmem", "tmo", "mean"))
    with pytest.raises(InputError, match="not of one network"):
        write_half("xmem", xmem, target, tmo)
    assert not target.exists()


def test_a_recipe_for_a_gpu_is_shipped_from_a_cpu(tmp_path, monkeypatch):
    """Scored on the videos that options are chosen by, and on those that come after them."""
    short = ValidationOptions(count=1, frames=4, size=64, objects=1)
    monkeypatch.setattr(card, "SYNTHETIC", short)
    monkeypatch.setattr(card, "OTHERS", replace(short, first=1, count=2))
    network = make_network(recipe("xmem"))
    write_weights(tmp_path / "xmem", "xmem", network.state_dict())
    config = tmp_path / "x.yaml"
    config.write_text("{network: xmem, weights: nowhere, device: cuda}\n")
    given = ["--config", str(config), "--weights", str(tmp_path / "xmem.safetensors")]
    output = tmp_path / "shipped"
    options = ["--name", "mine", "--output", str(output), "--set", "device=cpu"]
    assert ship.main([*given, *options]) == 0
    text = (output / "mine.md").read_text(encoding="utf-8")
    assert re.search(r"\| 1 synthetic videos \| \d", text)
    assert re.search(r"\| 2 other synthetic videos \| \d", text)
