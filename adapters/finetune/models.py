"""Networks to train: made from sizes or from a checkpoint, and written as checkpoints."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adapters.checkpoints import FAMILIES, load_network
from adapters.finetune.recipe import Recipe
from mose.config import build


def make_network(recipe: Recipe) -> nn.Module:
    """The recipe's network, in training mode, on its device."""
    if recipe.weights is not None:
        from adapters.weights import resolve

        network: nn.Module = load_network(resolve(recipe.weights), recipe.network)
    else:
        module, network_class = _modules(recipe.network)
        kind = _config_class(module, recipe.network)
        config = build(kind, recipe.sizes, f"the sizes of network {recipe.network}", "sizes.")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = network_class(config)
    # Half of the work is convolutions, which run faster on pixels with neighbouring channels.
    return network.train().to(recipe.device, memory_format=torch.channels_last)


def official_state(family: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the names of the family's published checkpoints."""
    module, _ = _modules(family)
    return module.NAMES.to_official(state)


def write_weights(stem: Path, family: str, state: Mapping[str, Tensor], half: bool = False) -> None:
    """Write ``<stem>.safetensors`` and ``<stem>.pth`` with official names, each atomically.

    half   in float16, as small weights are shipped
    """
    from safetensors.torch import save

    official = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor)
        .detach()
        .to("cpu", copy=True)
        .contiguous()
        for name, tensor in official_state(family, state).items()
    }
    write_bytes(stem.with_suffix(".safetensors"), save(official))
    write_bytes(stem.with_suffix(".pth"), torch_bytes(official))


def torch_bytes(content: Any) -> bytes:
    """What `torch.save` would write."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a full disk is an `OSError` that names the file."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


def _modules(family: str) -> tuple[Any, type[nn.Module]]:
    module_name, _, class_name = str(FAMILIES[family].network).partition(":")
    module = importlib.import_module(module_name)
    return module, getattr(module, class_name)


def _config_class(module: Any, family: str) -> type:
    names = {"xmem": "XMemConfig", "cutie": "CutieConfig", "livos": "CutieConfig"}
    return getattr(module, names.get(family, "TMOConfig"))
