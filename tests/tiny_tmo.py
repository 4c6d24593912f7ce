"""TMO in a size that answers a small frame in milliseconds, with both kinds of encoder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from adapters.networks.segformer import SegformerConfig
from adapters.networks.tmo import NAMES, TMO, TMOConfig
from mose import Video

CONFIGS = {
    "resnet": TMOConfig((10, 8), None, 8),
    "segformer": TMOConfig(None, SegformerConfig((8, 16, 24, 32), (1, 2, 1, 1), expansion=2), 8),
}


def network(kind: str = "resnet") -> TMO:
    """A network with random weights, always the same ones."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return TMO(CONFIGS[kind]).eval()


def official(kind: str = "resnet") -> dict[str, torch.Tensor]:
    """Its state dict with the names of the published checkpoints."""
    return NAMES.to_official(network(kind).state_dict())


def make_tmo(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    torch.save(official(), folder / "tmo.pth")
    return {"weights": folder / "tmo.pth", "size": 64}
