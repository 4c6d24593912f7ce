"""Which model a state dict belongs to, and which network a training checkpoint is used for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

WRAPPERS = (
    "model", "network", "state_dict", "weights", "model_state_dict", "net", "module",
    "ema", "model_ema", "ema_state_dict",
)  # fmt: skip
"""Keys under which training checkpoints keep the network's state, also one within another."""

COMPILED, PARALLEL = "_orig_mod", "module"
"""Parts of names that `torch.compile` and distributed training put in."""

AVERAGED = re.compile(r"(^|_)(ema|swa|averaged)(_|$)")
"""Names under which trainers keep the moving average of the weights."""

WHOLE = re.compile(r"(^|_)(model|network|net|module|ema|swa|averaged|student|teacher)(_|$)")
"""First parts of names that stand for a whole network, not for a part of one."""


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
class StoredNetwork:
    """The network of a checkpoint that is used.

    tensors    are its weights, by the names that they have there behind ``prefix``
    place      is where they lie, such as ``model``, and "" at the top
    prefix     was taken off the names of its entries, because other entries begin otherwise
    others     are the places beside it that hold tensors too and are not used
    averaged   says that it was preferred because it is the moving average of the weights
    undecided  says that nothing tells which of the networks is meant
    """

    tensors: dict[str, Tensor]
    place: str = ""
    prefix: str = ""
    others: tuple[str, ...] = ()
    averaged: bool = False
    undecided: bool = False

    def describe(self) -> str:
        """Which of several was taken, in words."""
        taken = f"'{self.place}'" if self.place else "the one whose names have no prefix"
        why = ", the moving average, which is meant for use" if self.averaged else ""
        left = " and ".join(f"'{place}'" for place in self.others)
        return f"{taken} was taken{why}; {left} {'was' if len(self.others) == 1 else 'were'} not"


def network_of(content: object, depth: int = 3) -> StoredNetwork:
    """The network that a state dict is, or that a training checkpoint holds.

    A checkpoint may hold several: in dictionaries under the names of `WRAPPERS`, or in one
    dictionary, told apart by the first part of their entries' names. The moving average is
    used where it has every entry that the others have, and otherwise the first in the order of
    `WRAPPERS`. There are no tensors where the content has none; all of them are returned where
    no network is recognised.
    """
    if not isinstance(content, Mapping):
        return StoredNetwork({})
    state = _tensors(content)
    parts = _parts(state)
    if depth < 0 or ("" not in parts and family_of(plain_names(state)[0]) is not None):
        return StoredNetwork(state)
    held = {key: network_of(content.get(key), depth - 1) for key in WRAPPERS}
    held = {key: inner for key, inner in held.items() if inner.tensors}
    for key, part in parts.items():
        inner = network_of(part, -1 if key == "" else depth)
        if _is_complete(inner.tensors):
            held.setdefault(key, replace(inner, prefix=f"{key}.{inner.prefix}" if key else ""))
    if not held:
        return StoredNetwork(state)
    return _preferred(held, [key for key in parts if key not in held])


def _preferred(held: Mapping[str, StoredNetwork], unused: list[str]) -> StoredNetwork:
    """The network to use among those in some places, with the others named."""
    order = ["", *WRAPPERS, *held]
    usual = min(held, key=order.index)
    names = {key: set(plain_names(inner.tensors)[0]) for key, inner in held.items()}
    rivals = [key for key in held if key != usual and names[key] & names[usual]]
    averages = [key for key in rivals if AVERAGED.search(key) and names[key] >= names[usual]]
    averaged = bool(averages) and not AVERAGED.search(usual)
    taken = averages[0] if averaged else usual
    inner = held[taken]
    return replace(
        inner,
        place=".".join(part for part in (taken, inner.place) if part),
        others=(*inner.others, *(key for key in (usual, *rivals) if key != taken), *unused),
        averaged=inner.averaged or averaged,
        undecided=inner.undecided
        or (bool(rivals) and not averaged and usual not in ("", *WRAPPERS)),
    )


def _parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What may be networks in a state dict, by the first part of their entries' names.

    Where the entries that begin with one part are a copy of all the others, the others are the
    part "".
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        if rest:
            parts.setdefault(first, {})[rest] = tensor
    for first, part in parts.items():
        others = {n: t for n, t in state.items() if n.partition(".")[0] != first}
        if WHOLE.search(first) and part.keys() == others.keys():
            return {"": others, first: part}
    return parts if any(WHOLE.search(first) for first in parts) else {}


def _is_complete(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict, under whatever prefixes, has all entries that tell a model."""
    plain = plain_names(state)[0]
    return any(all(entry in plain for entry in family.names) for family in FAMILIES.values())


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
