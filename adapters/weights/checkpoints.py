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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mose import InputError

WRAPPERS = (
    "model", "network", "state_dict", "weights", "model_state_dict", "net", "module",
    "ema", "model_ema", "ema_state_dict",
)  # fmt: skip
"""Keys under which training checkpoints keep the network's state, also one within another."""

COMPILED, PARALLEL = "_orig_mod", "module"
"""Parts of names that `torch.compile` and distributed training put in."""


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


@dataclass(frozen=True)
class Family:
    """One kind of network.

    title     how messages call it
    names     entries that together only its official checkpoints have; the first alone
              is enough for one that is incomplete
    network   ``module:class`` of the project's network; None where it is not built here
    """

    title: str
    names: tuple[str, ...]
    network: str | None = None


FAMILIES = {
    "xmem": Family(
        "XMem",
        ("key_encoder.res2.0.conv1.weight", "value_encoder.fuser.block1.conv1.weight"),
        "adapters.networks.xmem:XMem",
    ),
    "cutie": Family(
        "Cutie",
        ("pixel_encoder.res2.0.conv1.weight", "object_transformer.query_init.weight"),
        "adapters.networks.cutie:Cutie",
    ),
    "livos": Family(
        "LiVOS",
        ("gate_projector.layer.weight", "object_transformer.query_init.weight"),
        "adapters.networks.livos:LiVOS",
    ),
    "tmo": Family(
        "TMO",
        ("vos.app_encoder.mean", "vos.decoder.predictor.conv.weight"),
        "adapters.networks.tmo:TMO",
    ),
    "sam2": Family("SAM 2", ("maskmem_tpos_enc", "memory_encoder.out_proj.weight")),
    "transformers": Family(
        "SAM in the format of transformers",
        ("memory_temporal_positional_encoding", "no_object_pointer"),
    ),
    "stcn": Family("STCN", ("key_comp.weight", "key_encoder.res2.0.conv1.weight")),
    "resnet": Family("a plain ResNet classifier", ("layer1.0.conv1.weight", "fc.weight")),
}


def load_state(path: str | Path, notes: list[str] | None = None) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by their official names, on the CPU.

    path   ``.safetensors``, or anything that `torch.save` wrote. A training checkpoint
           gives the network inside it, and names that training has changed become the
           official ones, see `plain_names`
    notes  is given a sentence where names were changed, and where the file holds several
           networks

    Raises `InputError`, one sentence, for a file that is missing, cut off, damaged, that
    holds code, or that holds no tensors, and for weights that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"checkpoint {path} {what}: give the path of a weights file")
    inner = _network_state(_read(path))
    state = inner.tensors
    if not state:
        raise InputError(f"checkpoint {path} holds no tensors by name: give a network's weights")
    plain, prefix = plain_names(state)
    _check_finite(plain, path)
    if notes is not None and inner.others:
        others = " and ".join(f"'{key}'" for key in inner.others)
        notes.append(
            f"checkpoint {path} holds several networks: '{inner.key}' was taken, {others} was not"
        )
    if notes is not None and list(plain) != list(state):
        what = f"the prefix '{prefix}'" if prefix else f"'{COMPILED}.' of compiled parts"
        notes.append(f"checkpoint {path}: {what} was taken off the names of its entries")
    return plain


def _check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """`InputError` where weights are infinite or no numbers: every mask would be empty or noise."""
    floats = {name: tensor for name, tensor in state.items() if tensor.dtype in FLOATS}
    wrong = [name for name, tensor in floats.items() if not bool(torch.isfinite(tensor).all())]
    if wrong:
        raise InputError(
            f"checkpoint {path} holds values that are infinite or no numbers in {len(wrong)} of"
            f" {len(state)} entries (such as {wrong[0]}): its training broke down, give an earlier"
            " checkpoint"
        )


def plain_names(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """A state dict by the names of its model, and the prefix that was taken off all of them.

    `torch.compile` and trainers put prefixes before all names (``_orig_mod.``, ``module.``,
    ``model.``, ``ema.``, one after the other). As many are taken off as it takes to tell the
    model; of a model that is not known here, those of compiling and distributed training.
    """
    plain = {
        ".".join(part for part in name.split(".") if part != COMPILED): tensor
        for name, tensor in state.items()
    }
    if len(plain) < len(state):  # two names have become one
        return dict(state), ""
    prefix = ""
    known = plain
    while family_of(known) is None:
        shared = {name.partition(".")[0] for name in known}
        if len(shared) != 1 or any("." not in name for name in known):
            return _without(plain, f"{PARALLEL}.")
        part = f"{shared.pop()}."
        prefix += part
        known = {name.removeprefix(part): tensor for name, tensor in known.items()}
    return known, prefix


def _without(state: dict[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], str]:
    if not all(name.startswith(prefix) for name in state):
        return state, ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}, prefix


@dataclass(frozen=True)
class _Inner:
    """The tensors of the network in a checkpoint.

    key      is where they lie, "" at the top
    others   are the keys beside it that hold a network as well
    """

    tensors: dict[str, Tensor]
    key: str = ""
    others: tuple[str, ...] = ()


def _network_state(content: object, depth: int = 3) -> _Inner:
    """The tensors of a state dict, or of the one that a training checkpoint holds."""
    if not isinstance(content, Mapping):
        return _Inner({})
    state = _tensors(content)
    if family_of(plain_names(state)[0]) is not None or depth == 0:
        return _Inner(state)
    within = {key: _network_state(content.get(key), depth - 1) for key in WRAPPERS}
    held = {key: inner for key, inner in within.items() if inner.tensors}
    if not held:
        return _Inner(state)
    taken, *others = held
    inner = held[taken]
    key = f"{taken}.{inner.key}" if inner.key else taken
    beside = [name for name in others if held[name].tensors.keys() == inner.tensors.keys()]
    return _Inner(inner.tensors, key, (*inner.others, *beside))


def family_of(state: Mapping[str, object]) -> str | None:
    """The key in `FAMILIES` of a state dict with official names, or None."""
    for name, family in FAMILIES.items():
        if all(entry in state for entry in family.names):
            return name
    for name, family in FAMILIES.items():
        if family.names[0] in state:
            return name
    return None


def describe(state: Mapping[str, object]) -> str:
    """In words what a state dict looks like, for messages: "looks like XMem"."""
    name = family_of(state)
    if name is not None:
        return f"looks like {FAMILIES[name].title}"
    first = next(iter(state), "nothing")
    return f"looks like no model known here ({len(state)} entries, the first is {first})"


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
    if Path(path).suffix == ".safetensors":
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


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # The best score beside the weights is often a number of numpy.
        with torch.serialization.safe_globals(NUMPY_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
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
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    return InputError(
        f"checkpoint {path} cannot be read, it is cut off, damaged or no checkpoint ({reason}):"
        " get it again"
    )
