"""ResNets on a CPU with norm, ReLU and the sum of the two paths inside the convolutions.

Each convolution then writes its output once, instead of making three or four passes over maps that
are larger than the caches. The sums are those of the separate operations with the norms folded. For
inference only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapters.networks.resnet import BasicBlock, Bottleneck

SIZES_KEPT = 4
"""Of inputs, per convolution."""


def available() -> bool:
    """Whether this build of torch has the operations: oneDNN's, on a CPU."""
    return torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
        torch.ops.mkldnn, "_convolution_pointwise"
    )


class FusedConv2d(nn.Module):
    """Takes the place of a convolution; with ``relu``, of that and the ReLU after it.

    The best memory layout of the filters depends on the size of the input; with a general layout,
    small maps take twice as long. So the filters are laid out when a size first occurs.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, relu: bool):
        super().__init__()
        self.geometry = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        self.register_buffer("weight", conv.weight.detach(), False)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach(), False)
        self.after = "relu" if relu else "none"
        self._laid_out: dict[torch.Size, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, H, W)`` -> ``(B, out, H', W')``."""
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._filters(x.shape), self.bias, *self.geometry, self.after, [], ""
        )

    def onto(self, x: Tensor, other: Tensor) -> Tensor:
        """The convolution of ``x`` plus ``other``, which is overwritten, then the ReLU."""
        filters = self._filters(x.shape)
        return torch.ops.mkldnn._convolution_pointwise_(
            other, x, filters, self.bias, *self.geometry, "add", 1.0, self.after, [], ""
        )

    def _filters(self, size: torch.Size) -> Tensor:
        if size not in self._laid_out:
            if len(self._laid_out) == SIZES_KEPT:
                del self._laid_out[next(iter(self._laid_out))]
            reorder = torch.ops.mkldnn._reorder_convolution_weight
            self._laid_out[size] = reorder(self.weight, *self.geometry, list(size))
        return self._laid_out[size]


class FusedBlock(nn.Module):
    """Takes the place of a residual block whose norms are folded.

    Without a projection, its output overwrites its input, which nothing else reads within a stage.
    """

    def __init__(self, block: BasicBlock | Bottleneck):
        super().__init__()
        convs = [block.conv1, block.conv2]
        if isinstance(block, Bottleneck):
            convs.append(block.conv3)
        self.convs = nn.ModuleList(FusedConv2d(conv, True) for conv in convs)
        self.projection = None
        if block.downsample is not None:
            self.projection = FusedConv2d(block.downsample.get_submodule("0"), False)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        *first, last = self.convs
        out = x
        for conv in first:
            out = conv(out)
        skip = x if self.projection is None else self.projection(x)
        assert isinstance(last, FusedConv2d)
        return last.onto(out, skip)


def fuse_blocks(module: nn.Module) -> nn.Module:
    """Replace every residual block of ``module``, norms folded already, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (BasicBlock, Bottleneck)):
                setattr(parent, name, FusedBlock(child))
    return module
