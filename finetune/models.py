"""Networks to train: made from sizes or from a checkpoint, and written as checkpoints."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.sam2.config import Sam2Config
from adapters.weights.checkpoints import load_state
from adapters.weights.families import describe, family_of
from adapters.weights.store import resolve
from finetune.data.batches import BatchMaker
from finetune.data.sources import open_clips
from finetune.recipe import TrainingRecipe
from finetune.trainable import network_names, trainable
from mose import InputError
from stseg.config import build
from stseg.files import write_bytes

Locate = Callable[[str], Path]
"""Finds the file of what a recipe calls weights; `adapters.weights.store.resolve` or more."""


def make_network(recipe: TrainingRecipe, locate: Locate = resolve) -> nn.Module:
    """The recipe's network, in training mode, on its device.

    Raises `InputError` where what the recipe starts from cannot be used, and where its clips
    have a size that the network does not take.
    """
    kind = trainable(recipe.network)
    if recipe.data.size % kind.multiple:
        raise InputError(
            f"data.size is {recipe.data.size}, {recipe.network} needs a multiple of {kind.multiple}"
        )
    if recipe.weights is not None:
        path = locate(recipe.weights)
        network = kind.load(path, recipe.data.size)
        if recipe.encoders is not None:
            load_shared_weights(network, locate(recipe.encoders), (IMAGE_ENCODER, MASK_ENCODER))
    else:
        place = f"the sizes of network {recipe.network}"
        config: object = build(kind.config, recipe.sizes, place, "sizes.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = kind.build(config)
            taken = ""
            if recipe.warm_start is not None:
                taken = load_shared_weights(network, locate(recipe.warm_start))
            if kind.start is not None and taken != recipe.network:
                kind.start(network)
            if recipe.keys is not None:
                start_keys_from(network, locate(recipe.keys), recipe)
    # Half of the work is convolutions, which run faster on pixels with neighbouring channels.
    network = network.train().to(recipe.device)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


IMAGE_ENCODER, MASK_ENCODER = "image_encoder.", "mask_encoder."
ENCODERS = ("appearance.body.", "motion.body.", "image_encoder.trunk.")
"""Where TMO (one for frames, one for pictures of flow) and SAM 2 have what others call so."""


def load_shared_weights(network: nn.Module, path: Path, only: tuple[str, ...] = ("",)) -> str:
    """Copy from a checkpoint of any model the weights with the same name and shape.

    only   how names begin in the checkpoint that are taken; all

    Returns the model of the checkpoint. Raises `InputError` where nothing is shared.
    """
    family, named = named_state(path)
    named = {name: tensor for name, tensor in named.items() if name.startswith(only)}
    own = network.state_dict()
    for name in list(named):
        if name.startswith(IMAGE_ENCODER):
            rest = name.removeprefix(IMAGE_ENCODER)
            named |= {place + rest: named[name] for place in ENCODERS}
    shared = {n: t for n, t in named.items() if n in own and own[n].shape == t.shape}
    if not shared:
        raise InputError(f"checkpoint {path} shares no part with the sizes of the recipe")
    network.load_state_dict(shared, strict=False)
    return family


def start_keys_from(network: Any, path: Path, recipe: TrainingRecipe) -> None:
    """Start LiVOS's keys as clusters of Cutie's, see `finetune.start.livos`.

    Raises `InputError` for a checkpoint that has no such keys.
    """
    from finetune.start.livos import KEY_WEIGHTS, start_keys

    _, named = named_state(path)
    cutie = {n: t for n, t in named.items() if n.startswith(KEY_WEIGHTS)}
    reduction = network.key_reduction.weight
    shapes = {n: t.shape for n, t in cutie.items() if n.endswith(".weight")}
    rank = network.config.key_rank
    if (
        len(shapes) < len(KEY_WEIGHTS)
        or shapes["key_reduction.weight"] != reduction.shape
        or rank not in (0, shapes["key_projection.key.weight"][0])
    ):
        raise InputError(
            f"checkpoint {path} has no keys that LiVOS's can start from: let recipe option keys"
            " name a Cutie with the image encoder and pixel_dim of the recipe's sizes, and with"
            " their key_rank, if they have one, as its key_dim"
        )
    clips = BatchMaker(open_clips(recipe.data), recipe.augment, recipe.data.objects, 1, recipe.seed)
    start_keys(network, cutie, clips, recipe.seed)


def named_state(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The model of a checkpoint, and its weights in the project's names.

    Raises `InputError` if it cannot start another network.
    """
    state = load_state(path)
    family = family_of(state)
    if family not in network_names():
        raise InputError(f"checkpoint {path} {describe(state)}: it cannot start another network")
    return family, trainable(family).names.from_official(state)


def official_state(family: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names of the family's published checkpoints."""
    return trainable(family).names.to_official(state)


def stored_config(network: nn.Module) -> str | None:
    """The parts of a network's configuration that its shapes do not tell, as JSON; None if there
    are none."""
    config: Any = getattr(network, "config", None)
    if isinstance(config, Sam2Config):
        return config.json()
    names = getattr(importlib.import_module(type(network).__module__), "STORED", ())
    plain = {field.name: field.default for field in dataclasses.fields(config)} if names else {}
    stored = {n: getattr(config, n) for n in names if getattr(config, n) != plain[n]}
    return json.dumps(stored) if stored else None


def write_weights(
    stem: Path,
    family: str,
    state: Mapping[str, Tensor],
    half: bool = False,
    note: str | None = None,
) -> None:
    """Write ``<stem>.safetensors`` and ``<stem>.pth`` with official names, each atomically.

    half     in float16, as small weights are shipped
    note     the result of `stored_config`, which is stored with the weights
    """
    from safetensors.torch import save

    official = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor)
        .detach()
        .to("cpu", copy=True)
        .contiguous()
        for name, tensor in official_state(family, state).items()
    }
    notes = None if note is None else {"config": note}
    write_bytes(stem.with_suffix(".safetensors"), save(official, notes), sync=True)
    whole = official if notes is None else {"model": official, **notes}
    write_bytes(stem.with_suffix(".pth"), torch_bytes(whole), sync=True)


def torch_bytes(content: Any) -> bytes:
    """What `torch.save` would write."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
