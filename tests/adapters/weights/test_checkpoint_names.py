"""Checkpoints as training leaves them: prefixes, wrappers and what lies beside the weights."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from adapters.weights.checkpoints import load_network, load_state
from adapters.weights.families import FAMILIES, WRAPPERS
from adapters.weights.store import PRETRAINED
from mose import InputError

PREFIXES = ("", "module.", "_orig_mod.", "model.", "ema.", "network.", "net.", "my_trainer.")
BESIDE = {
    "epoch": 3,
    "best": np.float64(71.5),
    "best32": np.float32(71.5),
    "count": np.int64(7),
    "note": "last",
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1}]},
    "hyper_parameters": {"size": [1, 2]},
    "step": torch.tensor(5),
    "nothing": None,
}


def weights(family: str) -> dict[str, torch.Tensor]:
    """Entries as the family's checkpoints have them, with numbers of their own."""
    names = [*FAMILIES[family].names, "vos.more.weight" if family == "tmo" else "more.weight"]
    return {name: torch.full((2, 3), float(place)) for place, name in enumerate(names)}


def mutated(seed: int, folder: Path) -> tuple[dict[str, torch.Tensor], Path]:
    """A checkpoint, and the file in which some training has left it."""
    rng = random.Random(seed)
    state = weights(rng.choice(list(FAMILIES)))
    prefix = "".join(rng.choice(PREFIXES) for _ in range(rng.randint(0, 3)))
    named = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    if rng.random() < 0.2:
        path = folder / f"{seed}.safetensors"
        save_file(named, path)
        return state, path
    content: dict = dict(named)
    if rng.random() < 0.3:
        content |= {f"{prefix}version": 2, "callbacks": {}}
    for _ in range(rng.randint(0, 3)):
        beside = rng.sample(sorted(BESIDE), rng.randint(0, 3))
        content = {rng.choice(WRAPPERS): content, **{key: BESIDE[key] for key in beside}}
    path = folder / f"{seed}.pth"
    torch.save(content, path)
    return state, path


def check(seed: int, folder: Path) -> None:
    state, path = mutated(seed, folder)
    notes: list[str] = []
    loaded = load_state(path, notes)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert all(path.name in note for note in notes)
    path.unlink()


@pytest.mark.parametrize("seed", range(50))
def test_what_training_leaves_is_read(seed, tmp_path):
    check(seed, tmp_path)


@pytest.mark.soak
def test_a_thousand_ways_of_training(tmp_path):
    for seed in range(50, 1050):
        check(seed, tmp_path)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "module._orig_mod.ema."])
def test_a_network_with_changed_names_is_the_network_and_a_note_says_so(prefix, tmp_path):
    shipped = PRETRAINED / "demo-xmem.safetensors"
    state = load_state(shipped)
    path = tmp_path / "trained.pth"
    torch.save({"state_dict": {f"{prefix}{n}": t for n, t in state.items()}}, path)
    notes: list[str] = []
    expected = load_network(shipped, "xmem", notes).state_dict()
    assert notes == []
    loaded = load_network(path, "xmem", notes).state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert len(notes) == 1
    assert "names of its entries" in notes[0]


def test_parts_that_were_compiled_alone_are_read(tmp_path):
    state = weights("xmem")
    path = tmp_path / "parts.pth"
    torch.save({name.replace(".res2", "._orig_mod.res2"): t for name, t in state.items()}, path)
    notes: list[str] = []
    assert load_state(path, notes).keys() == state.keys()
    assert "_orig_mod." in notes[0]


def test_unknown_networks_keep_their_names(tmp_path):
    path = tmp_path / "unknown.pth"
    torch.save({"net.a.weight": torch.ones(2), "net.b.weight": torch.ones(2)}, path)
    assert list(load_state(path)) == ["net.a.weight", "net.b.weight"]


def test_numbers_of_older_numpy_are_read(tmp_path):
    new, old = tmp_path / "new.pth", tmp_path / "old.pth"
    torch.save({"model": {"weight": torch.ones(2)}, "best": np.float64(71.5)}, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"numpy._core", b"numpy.core"))
    assert load_state(old)["weight"].tolist() == [1, 1]


@pytest.mark.parametrize("kind", ["O", "V8", "U4", "datetime64[s]", "i4,i4"])
def test_numpy_types_that_are_no_numbers_are_refused(tmp_path, kind):
    path = tmp_path / "other.pth"
    torch.save({"model": {"weight": torch.ones(2)}, "type": np.dtype(kind)}, path)
    with pytest.raises(InputError, match=r"other\.pth"):
        load_state(path)


def two_networks(first: str, second: str, **beside: torch.Tensor) -> dict[str, torch.Tensor]:
    """XMem's entries under two prefixes, those of the second one larger."""
    state = weights("xmem")
    return {
        **{f"{first}{name}": tensor for name, tensor in state.items()},
        **{f"{second}{name}": tensor + 1 for name, tensor in state.items()},
        **beside,
    }


@pytest.mark.parametrize(
    ("content", "larger", "averaged"),
    [
        (two_networks("model.", "ema."), True, True),
        (two_networks("ema.", "model."), False, True),
        (two_networks("", "ema."), True, True),
        (two_networks("module.model.", "module.model_ema."), True, True),
        (two_networks("online_model.", "ema_model.", step=torch.tensor(3)), True, True),
        (two_networks("model.", "student."), False, False),
        ({"state_dict": two_networks("model._orig_mod.", "ema.module.")}, True, True),
    ],
)
def test_of_two_networks_in_one_dictionary_the_moving_average_is_used(
    content, larger, averaged, tmp_path
):
    path = tmp_path / "two.pth"
    torch.save(content, path)
    notes: list[str] = []
    loaded, state = load_state(path, notes), weights("xmem")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name] + int(larger)) for name in state)
    assert "holds several parts" in notes[0]
    assert ("moving average" in notes[0]) == averaged


def test_a_moving_average_that_lacks_entries_is_not_used(tmp_path):
    content = two_networks("model.", "ema.", **{"model.mean": torch.ones(1)})
    path = tmp_path / "two.pth"
    torch.save(content, path)
    notes: list[str] = []
    loaded = load_state(path, notes)
    assert loaded.keys() == {*weights("xmem"), "mean"}
    assert "'model' was taken; 'ema' was not" in notes[0]


def test_what_averaging_adds_to_a_network_is_left_out(tmp_path):
    path = tmp_path / "swa.pth"
    averaged = {f"module.{name}": tensor for name, tensor in weights("xmem").items()}
    torch.save({"n_averaged": torch.tensor(4), **averaged}, path)
    notes: list[str] = []
    assert load_state(path, notes).keys() == weights("xmem").keys()
    assert "the prefix 'module.' was taken off" in notes[0]


def test_two_networks_that_nothing_tells_apart_are_refused(tmp_path):
    path = tmp_path / "two.pth"
    torch.save(two_networks("student.", "teacher."), path)
    with pytest.raises(InputError, match=r"two\.pth holds several networks, 'student' and"):
        load_state(path)


def test_a_page_in_place_of_a_checkpoint_is_told(tmp_path):
    for name in ("page.pth", "page.safetensors"):
        (tmp_path / name).write_text("<html><body>Too many downloads</body></html>")
        with pytest.raises(InputError, match=rf"{name} cannot be read.*it is a web page"):
            load_state(tmp_path / name)


def test_the_content_tells_the_format_and_not_the_suffix(tmp_path):
    save_file(weights("xmem"), tmp_path / "x.pth")
    torch.save(weights("xmem"), tmp_path / "y.safetensors")
    for name in ("x.pth", "y.safetensors"):
        assert load_state(tmp_path / name).keys() == weights("xmem").keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensor: tensor.to(torch.int8), "as int8, expected floating-point numbers"),
        (lambda tensor: tensor.to(torch.complex64), "as complex64"),
        (lambda tensor: tensor.to_sparse(), "as a sparse tensor"),
        (lambda tensor: tensor.to("meta"), "without its values"),
    ],
)
def test_weights_that_are_not_stored_as_floats_are_refused(change, words, tmp_path):
    path = tmp_path / "odd.pth"
    torch.save({name: change(tensor) for name, tensor in weights("xmem").items()}, path)
    with pytest.raises(InputError, match=rf"odd\.pth holds key_encoder.* {words}"):
        load_state(path)
