"""Checkpoints: read safely, told apart, refused in one sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tiny_cutie
import tiny_xmem
import torch
from parity_cases import folder
from safetensors.torch import save_file

import adapters
from adapters.weights.checkpoints import load_network, load_state
from adapters.weights.families import describe, family_of
from mose import InputError


class Code:
    """Runs a command when a careless reader loads it."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return tiny_xmem.official()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: s,
        lambda s: {"it": 7, "network": s, "optimizer": {"state": {}}, "scheduler": {}},
        lambda s: {"model": s, "epoch": 3},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
    ],
)
def test_a_state_is_found_inside_a_training_checkpoint(wrapped, state, tmp_path):
    assert equal(load_state(saved(tmp_path / "x.pth", wrapped(state))), state)


def test_safetensors(state, tmp_path):
    save_file(state, tmp_path / "x.safetensors")
    assert equal(load_state(tmp_path / "x.safetensors"), state)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "x.safetensors").read_bytes()[:9999])
    with pytest.raises(InputError, match=r"cut\.safetensors cannot be read"):
        load_state(tmp_path / "cut.safetensors")


def test_code_is_not_run(tmp_path):
    path = saved(tmp_path / "x.pth", {"a": torch.ones(1), "b": Code(f"touch {tmp_path}/ran")})
    with pytest.raises(InputError, match=r"x\.pth holds more than tensors and is refused"):
        load_state(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 5000, -1])
def test_a_cut_off_file_is_bad_input(keep, state, tmp_path):
    content = saved(tmp_path / "x.pth", state).read_bytes()
    (tmp_path / "x.pth").write_bytes(content[:keep])
    with pytest.raises(InputError, match=r"x\.pth cannot be read, it is cut off") as raised:
        load_state(tmp_path / "x.pth")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>quota exceeded</html>", b"version https"]
)
def test_a_web_page_is_no_checkpoint(content, tmp_path):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint"):
        load_state(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 3}, {"model": {"a": "b"}}, torch.ones(3)])
def test_what_holds_no_tensors_by_name_is_bad_input(content, tmp_path):
    with pytest.raises(InputError, match="holds no tensors by name"):
        load_state(saved(tmp_path / "x.pth", content))


def test_missing_files_and_folders_are_bad_input(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_state(tmp_path / "none.pth")
    with pytest.raises(InputError, match="is a folder"):
        load_state(tmp_path)


@pytest.mark.parametrize(
    ("model", "family"),
    [("xmem", "xmem"), ("cutie-base", "cutie"), ("cutie-small", "cutie"), ("livos", "livos")],
)
def test_official_checkpoints_are_told_apart(model, family):
    manifest = json.loads((folder() / model / "manifest.json").read_text())
    assert family_of(manifest) == family


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["maskmem_tpos_enc", "memory_encoder.out_proj.weight"], "looks like SAM 2"),
        (["vos.app_encoder.mean", "vos.decoder.predictor.conv.weight"], "looks like TMO"),
        (["layer1.0.conv1.weight", "fc.weight"], "looks like a plain ResNet classifier"),
        (["some.weight"], "looks like no model known here"),
        ([], "looks like no model known here"),
    ],
)
def test_other_checkpoints_are_described(names, words):
    assert words in describe(dict.fromkeys(names))


def test_a_checkpoint_of_another_model_is_named(tmp_path):
    cutie = saved(tmp_path / "cutie.pth", tiny_cutie.official("cutie"))
    with pytest.raises(InputError, match=r"cutie\.pth is no XMem checkpoint, it looks like Cutie"):
        adapters.load("xmem", weights=cutie)
    xmem = saved(tmp_path / "xmem.pth", tiny_xmem.official())
    with pytest.raises(InputError, match=r"xmem\.pth is no Cutie checkpoint, it looks like XMem"):
        adapters.load("cutie", weights=xmem)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("decoder.pred.bias"),
        lambda s: s.pop("key_proj.key_proj.weight"),
        lambda s: s.pop("key_encoder.layer2.0.conv1.weight"),
        lambda s: s.update({"decoder.extra.weight": torch.ones(1)}),
        lambda s: s.update({"decoder.pred.bias": torch.ones(2)}),
        lambda s: [s.pop(name) for name in list(s) if name.startswith("decoder.")],
    ],
)
def test_entries_must_all_fit(spoil, state, tmp_path):
    spoil(state)
    with pytest.raises(InputError, match=r"x\.pth .*XMem") as raised:
        load_network(saved(tmp_path / "x.pth", state), "xmem")
    assert "\n" not in str(raised.value)


def test_a_single_object_network_gets_a_plane_of_others(state, tmp_path):
    name = "value_encoder.conv1.weight"
    full = state[name]
    state[name] = full[:, :4].clone()
    network = load_network(saved(tmp_path / "x.pth", state), "xmem")
    weight = network.mask_encoder.conv1.weight
    assert torch.equal(weight[:, :4], full[:, :4])
    assert not weight[:, 4].any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(value, state, tmp_path):
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name].view(-1)[-1] = value
    with pytest.raises(InputError, match=rf"1 of {len(state)} entries \(such as {name}\)"):
        load_state(saved(tmp_path / "x.pth", {"model": state}))


@pytest.mark.parametrize("outer", [lambda c: c, lambda c: {"state_dict": c}])
def test_of_several_networks_the_note_says_which_was_taken(outer, state, tmp_path):
    averaged = {name: tensor + 1 for name, tensor in state.items()}
    content = {"model_ema": averaged, "ema": {"w": torch.ones(2)}, "model": state}
    notes: list[str] = []
    path = saved(tmp_path / "x.pth", outer(content))
    assert equal(load_state(path, notes), averaged)
    assert len(notes) == 1
    assert "model_ema' was taken, the moving average" in notes[0]
    assert "'model' was not" in notes[0]
