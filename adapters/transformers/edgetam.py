"""EdgeTAM (Zhou et al. 2025, "EdgeTAM: On-Device Track Anything Model"): what it does otherwise.

Its memory of a frame is no feature map. A perceiver makes few tokens of it: some that have looked
at the whole map, and one for each window of it, which keep a place.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from adapters.transformers.network import TransformersNetwork
from adapters.transformers.repvit import RepVitBackbone


@contextlib.contextmanager
def own_backbone() -> Iterator[None]:
    """Within the block, models of EdgeTAM are built with `RepVitBackbone`, not timm's."""
    module: Any = importlib.import_module("transformers.models.edgetam.modeling_edgetam")
    before = module.AutoModel
    module.AutoModel = SimpleNamespace(from_config=RepVitBackbone)
    try:
        yield
    finally:
        module.AutoModel = before


class EdgeTamNetwork(TransformersNetwork):
    """The four steps on an ``EdgeTamVideoModel``."""

    def _counts(self, memory: Tensor, pointer_tokens: int) -> dict[str, int]:
        """The number of memory frames, which the package calls spatial tokens."""
        frames = (memory.shape[1] - pointer_tokens) // self._places.shape[1]
        return {"num_spatial_memory_tokens": frames}

    def _stored(self, encoded: Tensor) -> Tensor:
        """The perceiver's tokens, as they are: the package does not round them."""
        where = self._encoding(encoded.shape)
        # The package's perceiver takes one object at a time.
        return torch.cat([self.model.spatial_perceiver(row, where)[0] for row in encoded.split(1)])

    @cached_property
    def _places(self) -> Tensor:
        """``(1, tokens, memory_dim)``: none for those that have looked at all."""
        config = self.config
        side = config.image_size // config.patch_size
        shape = torch.Size((1, config.memory_dim, side, side))
        encoding = self._encoding(shape)
        return self.model.spatial_perceiver(torch.zeros_like(encoding), encoding)[1]

    def _encoding(self, shape: torch.Size) -> Tensor:
        like = self.parts.ages
        where = torch.Size((1, *shape[1:]))
        return self.model.memory_encoder.position_encoding(where, like.device, like.dtype)
