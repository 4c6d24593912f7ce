"""XMem in a size that answers a small frame in milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from adapters.networks import xmem
from adapters.networks.xmem import XMemConfig
from mose import Video

CONFIG = XMemConfig(
    image_depth=10,
    image_width=8,
    mask_depth=10,
    mask_width=8,
    key_dim=8,
    value_dim=16,
    sensory_dim=6,
    sensory_hidden=10,
    decoder_dims=(16, 12, 8),
)


def network(config: XMemConfig = CONFIG) -> xmem.XMem:
    """A network with random weights, always the same ones, whose masks are not flat."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = xmem.XMem(config).eval()
    with torch.no_grad():
        made.decoder.predict.weight.mul_(8)
    return made


def official(config: XMemConfig = CONFIG) -> dict[str, torch.Tensor]:
    """Its state dict with the names of the published checkpoint."""
    return xmem.NAMES.to_official(network(config).state_dict())


def make_xmem(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    torch.save(official(), folder / "xmem.pth")
    return {"weights": folder / "xmem.pth", "size": 48, "mem_every": 2}
