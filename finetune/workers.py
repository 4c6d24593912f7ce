"""Several workers that train one network, each on its own clips of every batch.

The gradients of W workers are averaged. For the average to be that of one worker with the
whole batch, two things look at the whole batch as well: means over objects, of which workers
have different numbers (`shared_count`), and batch norms in training (`shared_norms`).
Losses that are means over clips or frames need nothing, for all workers have as many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mose import InputError


@dataclass(frozen=True)
class WorkerGroup:
    """The place of this process among the workers; rank 0 writes and validates."""

    rank: int = 0
    size: int = 1

    def share(self, batch: int) -> range:
        """The positions of this worker's clips in a batch."""
        if batch % self.size:
            raise InputError(
                f"a batch of {batch} clips cannot be shared evenly by {self.size} workers:"
                " change batch or launch.workers"
            )
        each = batch // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes its mean over the workers, in one exchange.

        A gradient that some workers lack counts as 0 there; one that all lack stays absent.
        """
        if self.size == 1:
            return
        ours = [p for p in parameters if p.requires_grad]
        there = ours[0].new_tensor([p.grad is not None for p in ours])
        dist.all_reduce(there)
        used = [p for p, count in zip(ours, there.tolist(), strict=True) if count]
        for parameter in used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in used if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = (flat / self.size).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def average(self, values: dict[str, float], device: str) -> dict[str, float]:
        """The means of numbers over the workers."""
        if self.size == 1:
            return values
        sums = self.sum(list(values.values()), device)
        return {name: total / self.size for name, total in zip(values, sums, strict=True)}

    def wait(self, device: str) -> None:
        """Wait until all workers have arrived."""
        self.sum([0.0], device)

    def sum(self, values: list[float], device: str) -> list[float]:
        """The sums of numbers over the workers, which wait for each other."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float32, device=device)
        dist.all_reduce(total)
        return total.tolist()


def current_group() -> WorkerGroup:
    """The workers that this process belongs to; it alone without a process group."""
    if not (dist.is_available() and dist.is_initialized()):
        return WorkerGroup()
    return WorkerGroup(dist.get_rank(), dist.get_world_size())


def shared_count(count: Tensor) -> Tensor:
    """The divisor of a worker's sum, so that the mean over the workers is the mean over everything
    that they count together; at least 1 in all."""
    group = current_group()
    if group.size == 1:
        return count.clamp(min=1)
    total = count.to(torch.float32, copy=True)
    dist.all_reduce(total)
    return total.clamp(min=1) / group.size


def shared_norms(network: nn.Module) -> None:
    """Let every batch norm see the whole batch of a group; its weights and names stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm over the batches of all workers, on any device.

    `torch.nn.SyncBatchNorm` does the same on GPUs only.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        values = input.float()
        own = values.new_full((1,), values.numel() / values.shape[1])
        sums = _Sum.apply(torch.cat([values.sum((0, 2, 3)), own]))
        count = sums[-1]
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _Sum(torch.autograd.Function):
    """The sum over the workers; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total
