"""ResNets on a CPU in oneDNN's own layout of memory from the first convolution to the last.

Torch computes a convolution of contiguous tensors in that layout and converts every map before and
after; here that is done once. The sums and their rounding are the same. For inference only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BlockedConv2d(nn.Module):
    """Takes the place of a convolution; its maps are `torch._mkldnn` tensors."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        assert not isinstance(conv.padding, str)
        self._places = list(conv.stride), list(conv.padding), list(conv.dilation), conv.groups
        stride, padding, dilation, groups = self._places
        # Plain attributes: no operation that modules do with buffers is made for this layout.
        self._bias = None if conv.bias is None else conv.bias.detach().to_mkldnn()
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
            conv.weight.detach().contiguous().to_mkldnn(), padding, stride, dilation, groups
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, self._weight, self._bias, *self._places)


class Blocked(nn.Module):
    """A network of feature maps, norms folded already, whose convolutions are replaced.

    Takes and gives ordinary contiguous tensors. Beside convolutions it may have what torch knows
    of oneDNN's layout: ReLU, sums, pooling.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Conv2d):
                    setattr(parent, name, BlockedConv2d(child))
        self.network = network

    def forward(self, x: Tensor) -> list[Tensor]:
        return [maps.to_dense() for maps in self.network(x.contiguous().to_mkldnn())]
