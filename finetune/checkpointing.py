"""Gradient checkpointing: steps of a network keep nothing for the backward pass and run again in
it.

Memory then grows only with what passes from step to step; a training step takes 1.3 to 1.5 times as
long (Chen et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

STEPS = (
    *("encode_images", "encode_masks", "read", "fuse", "object_transformer", "decode"),
    *("forward_image", "memory_attention", "sam_mask_decoder"),
)
"""Methods that are run again, of whichever network has them."""


class CheckpointedNetwork:
    """Stands for a network whose steps are run again in the backward pass."""

    def __init__(self, network: nn.Module):
        self._network = network

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._network, name)
        if name not in STEPS:
            return value
        return lambda *args, **named: self._again(value, *args, **named)

    def __call__(self, *args: Any) -> Any:
        return self._again(self._network, *args)

    def _again(self, step: Any, *args: Any, **named: Any) -> Any:
        return checkpoint(step, *args, use_reentrant=False, context_fn=self._contexts, **named)

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._as_before(attention_kernels())

    @contextmanager
    def _as_before(self, kernels: list[SDPBackend]) -> Iterator[None]:
        with frozen_statistics(self._network), sdpa_kernel(kernels):
            yield


def attention_kernels() -> list[SDPBackend]:
    """The attention kernels that are allowed now; other kernels would keep other tensors."""
    flags = torch.backends.cuda
    allowed = {
        SDPBackend.MATH: flags.math_sdp_enabled(),
        SDPBackend.FLASH_ATTENTION: flags.flash_sdp_enabled(),
        SDPBackend.EFFICIENT_ATTENTION: flags.mem_efficient_sdp_enabled(),
        SDPBackend.CUDNN_ATTENTION: flags.cudnn_sdp_enabled(),
    }
    return [kernel for kernel, on in allowed.items() if on]


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Keep the batch norms' statistics unchanged, because they counted these values the first
    time."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = (
            None if norm.num_batches_tracked is None else (norm.num_batches_tracked.clone())
        )
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
