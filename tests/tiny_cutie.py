"""Cutie and LiVOS in a size that answers a small frame in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from adapters.networks import cutie, livos
from adapters.networks.object_network import CutieConfig
from mose import Video

CONFIG = CutieConfig(
    image_depth=10,
    image_width=8,
    mask_depth=10,
    mask_width=8,
    pixel_dim=16,
    key_dim=8,
    value_dim=12,
    sensory_dim=10,
    embed_dim=16,
    decoder_dims=(12, 8),
    blocks=2,
    queries=4,
    hidden=24,
)


def network(name: str, config: CutieConfig = CONFIG) -> cutie.Cutie | livos.LiVOS:
    """A network with random weights, always the same ones."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return (cutie.Cutie if name == "cutie" else livos.LiVOS)(config).eval()


def official(name: str) -> dict[str, torch.Tensor]:
    """Its state dict with the names of the published checkpoints."""
    module = cutie if name == "cutie" else livos
    return module.NAMES.to_official(network(name).state_dict())


def make_cutie(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    torch.save(official("cutie"), folder / "cutie.pth")
    return {"weights": folder / "cutie.pth", "mem_every": 2}


def make_livos(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    torch.save(official("livos"), folder / "livos.pth")
    return {"weights": folder / "livos.pth", "size": 48}
