"""Reading checkpoints safely, and telling which model they belong to.

A checkpoint is a flat mapping of names to tensors, alone or inside a training checkpoint.
It is read with ``weights_only=True`` or as safetensors: a file that holds code is refused.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adapters.weights.families import (
    COMPILED,
    FAMILIES,
    describe,
    family_of,
    network_of,
    plain_names,
)
from mose import InputError
from stseg.files import stand_in

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of weights that may hold what is no number."""

CORES = ("core", "_core")
"""Where numpy 1 and 2 keep what makes a scalar."""


def number_type(code: str, *_: object) -> np.dtype[Any]:
    """Stands for ``numpy.dtype`` while a checkpoint is read: types of numbers, and no other.

    Raises `pickle.UnpicklingError` for objects, structures and whatever else numpy knows.
    """
    if code not in NUMBER_CODES:
        raise pickle.UnpicklingError(f"a type of numpy that is no number: {code!r}")
    return np.dtype(code)


NUMBER_CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")

NUMPY_NUMBERS: list[Any] = [
    *((np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in CORES),
    (number_type, "numpy.dtype"),
    *(type(np.dtype(code)) for code in NUMBER_CODES),
]
"""What a pickle needs for numbers of numpy, by the names in files of numpy 1 and 2. A scalar is
made of a type and of bytes, whose number numpy checks; `number_type` makes the type, so that no
file names one that holds Python objects. None of it calls what a file names."""


def load_state(path: str | Path, notes: list[str] | None = None) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by their official names, on the CPU.

    path   ``.safetensors``, or anything that `torch.save` wrote. A training checkpoint
           gives the network inside it, and names that training has changed become the
           official ones, see `plain_names`
    notes  is given a sentence where names were changed, and where the file holds several
           networks

    Raises `InputError`, one sentence, for a file that is missing, cut off, damaged, that
    holds code, or that holds no tensors, and for weights that are not finite or were quantised.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"checkpoint {path} {what}: give the path of a weights file")
    network = network_of(_read(path))
    state = network.tensors
    if not state:
        raise InputError(f"checkpoint {path} holds no tensors by name: give a network's weights")
    if network.undecided:
        several = " and ".join(f"'{place}'" for place in (network.place, *network.others))
        raise InputError(
            f"checkpoint {path} holds several networks, {several}, and nothing says which is meant"
            " for use: save that one alone"
        )
    plain, prefix = plain_names(state)
    _check_values(plain, path)
    if notes is not None and network.others:
        notes.append(f"checkpoint {path} holds several parts: {network.describe()}")
    prefix = network.prefix + prefix
    if notes is not None and (prefix or list(plain) != list(state)):
        what = f"the prefix '{prefix}'" if prefix else f"'{COMPILED}.' of compiled parts"
        notes.append(f"checkpoint {path}: {what} was taken off the names of its entries")
    return plain


def _check_values(state: Mapping[str, Tensor], path: Path) -> None:
    """`InputError` for weights that are not stored in full, that were quantised, or that are
    infinite or no numbers: every mask would be empty or noise."""
    for name, tensor in state.items():
        if tensor.is_meta or tensor.layout != torch.strided:
            kind = "without its values" if tensor.is_meta else "as a sparse tensor"
            raise InputError(
                f"checkpoint {path} holds {name} {kind}: save the whole weights of the network"
            )
        if name.endswith(("weight", "bias")) and tensor.dtype not in FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(
                f"checkpoint {path} holds {name} as {kind}, expected floating-point numbers: give"
                " the weights from before they were quantised"
            )
    floats = {name: tensor for name, tensor in state.items() if tensor.dtype in FLOATS}
    wrong = [name for name, tensor in floats.items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise InputError(
            f"checkpoint {path} holds values that are infinite or no numbers in {len(wrong)} of"
            f" {len(state)} entries (such as {wrong[0]}): its training broke down, give an earlier"
            " checkpoint"
        )


def load_network(path: str | Path, family: str, notes: list[str] | None = None) -> Any:
    """The project's network of a family with the weights of a checkpoint, sizes taken from it.

    Every entry is used and none is missing, else `InputError` with the model that the
    checkpoint looks like. A network trained for single objects (masks without the plane of
    the other objects) gets zero weights for that plane, as in the reference. ``notes`` is
    given a sentence where names were changed.
    """
    state = load_state(path, notes)
    title = FAMILIES[family].title
    if family_of(state) != family:
        raise InputError(
            f"checkpoint {path} is no {title} checkpoint, it {describe(state)}:"
            f" give the weights of {title}"
        )
    module_name, _, class_name = str(FAMILIES[family].network).partition(":")
    module = importlib.import_module(module_name)
    ours = module.NAMES.from_official(state)
    try:
        ours = with_others_plane(ours, getattr(module, "OTHERS_PLANE", ()))
        config = module.config_of(ours)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"checkpoint {path} {describe(state)}, but its sizes cannot be read from it"
            f" ({error}): it may be incomplete, get it again"
        ) from None
    config = with_stored(config, getattr(module, "STORED", ()), path)
    network = getattr(module, class_name)(config)
    fill(network, ours, path, title)
    return network


def stored_config(path: str | Path) -> Any:
    """The configuration stored with the weights of a readable checkpoint, or None."""
    if _is_safetensors(Path(path)):
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as file:
            return (file.metadata() or {}).get("config")
    content = _read(Path(path))
    return content.get("config") if isinstance(content, Mapping) else None


def with_stored(config: Any, names: tuple[str, ...], path: str | Path) -> Any:
    """A configuration with those of its fields that a checkpoint stores with its weights.

    Raises `InputError` where what is stored is no value of such a field.
    """
    stored = stored_config(path) if names else None
    if stored is None:
        return config
    try:
        values = json.loads(stored) if isinstance(stored, str) else dict(stored)
        return dataclasses.replace(config, **{n: values[n] for n in names if n in values})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the configuration stored in {path} cannot be read ({error}): get the checkpoint again"
        ) from None


def fill(network: nn.Module, state: Mapping[str, Tensor], path: str | Path, title: str) -> None:
    """Load a state with the project's names strictly into ``network``.

    Raises `InputError` where an entry is missing, left over or of another shape.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in state]
    extra = [name for name in state if name not in wanted]
    shapes = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    problems = []
    for names, what in ((missing, "missing"), (extra, "unknown"), (shapes, "of another shape")):
        if names:
            problems.append(f"{len(names)} entries {what} (such as {names[0]})")
    if problems:
        raise InputError(
            f"checkpoint {path} does not fit {title}: {', '.join(problems)};"
            " it may be incomplete or of a changed network"
        )
    network.load_state_dict(dict(state))


def with_others_plane(state: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """A single-object network's state with room for the plane of the other objects.

    names   the convolutions that take this plane as their last channel; the first of them
            takes image and masks, and has 4 channels in a single-object network
    """
    if not names or state[names[0]].shape[1] != 4:
        return state
    state = dict(state)
    for name in names:
        weight = state[name]
        state[name] = torch.cat([weight, torch.zeros_like(weight[:, :1])], 1)
    return state


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do, with the length of a JSON header, or, where it
    begins as nothing that is known, whether it is named so."""
    with open(path, "rb") as file:
        head = file.read(9)
    if head[:2] in (b"PK", b"\x80\x02"):
        return False
    return head[8:] == b"{" or path.suffix == ".safetensors"


def _read(path: Path) -> Any:
    try:
        if _is_safetensors(path):
            from safetensors.torch import load_file

            return load_file(path)
        # The best score beside the weights is often a number of numpy.
        with torch.serialization.safe_globals(NUMPY_NUMBERS), open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):
            raise InputError(
                f"checkpoint {path} holds more than tensors and is refused, because loading it"
                " could run code: save its state dict alone, or as safetensors"
            ) from None
        raise _damaged(path, ValueError("not a pickle of tensors")) from None
    except ImportError:
        raise InputError(
            f"checkpoint {path} needs the package safetensors: install the extra 'networks'"
        ) from None
    except Exception as error:  # the formats' readers fail in many ways, one of them own to Rust
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    with open(path, "rb") as file:
        told = stand_in(file.read(256))
    if "TorchScript" in str(error):
        told = "it is a TorchScript archive: save the state dict of the network instead"
    reason = told or (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    return InputError(
        f"checkpoint {path} cannot be read, it is cut off, damaged or no checkpoint ({reason}):"
        " get it again"
    )
