"""Memory of whole frames, read by matching, for unrolling XMem and Cutie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from adapters.networks.affinity import ImageFeatures
from finetune.training_options import UnrollOptions


class MatchingNetwork(Protocol):
    """A network that reads the values of whole frames by matching."""

    def read(self, query: ImageFeatures, memory: list[ImageFeatures], values: Tensor) -> Tensor: ...


def read_memory(
    network: MatchingNetwork,
    now: ImageFeatures,
    memory: Sequence[ImageFeatures],
    values: Sequence[Tensor],
    objects: Tensor,
) -> tuple[Tensor, Tensor]:
    """The readout of T frames with values ``(B * N, V + 1, h, w)``, and of their last channel.

    In full precision: similarity is a difference of large products.
    """
    with torch.autocast(now.key.device.type, enabled=False):
        stored = torch.stack(list(values), 1).unflatten(0, objects.shape).float()
        mixed = network.read(_full(now), [_full(frame) for frame in memory], stored)
    return mixed[:, :-1], mixed[:, -1].unflatten(0, objects.shape)


def _full(features: ImageFeatures) -> ImageFeatures:
    return features._replace(
        key=features.key.float(),
        shrinkage=features.shrinkage.float(),
        selection=features.selection.float(),
    )


def remembers(index: int, length: int, options: UnrollOptions) -> bool:
    """Whether a frame of a clip is remembered; nothing reads the last one."""
    return index % options.mem_every == 0 and index < length - 1
