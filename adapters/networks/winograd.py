"""3x3 convolutions on a CPU with 2.25 times fewer multiplications.

Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray 2016): each 2x2 square of the
output comes from a 4x4 square of the input through 16 products per pair of channels
instead of 36. Its constants are 0, 1 and 1/2, so the result is that of a direct
convolution within the rounding that any order of summation has. For inference only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_CHANNELS = 256
"""Of input and output each; below that, transforming costs more than it saves."""

STRIP_TILES = 1200
"""Tiles worked on at once: few enough to stay in a cache between transform and product, and
enough for the products to be efficient."""


class WinogradConv2d(nn.Module):
    """Takes the place of a 3x3 convolution with stride 1 and padding 1.

    ``weight`` ``(16, in, out)`` holds the transformed filters.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        filters = conv.weight.detach()
        half = filters.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
        half = half.double()
        spread = torch.einsum("ai,bj,ocij->abco", half, half, filters.double())
        self.register_buffer("weight", spread.flatten(0, 1).to(filters).contiguous(), False)
        bias = conv.bias if conv.bias is not None else filters.new_zeros(len(filters))
        self.register_buffer("bias", bias.detach(), False)

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether a module is a convolution that this replaces at a gain."""
        return (
            isinstance(module, nn.Conv2d)
            and module.kernel_size == (3, 3)
            and module.stride == module.padding == module.dilation == (1, 1)
            and module.groups == 1
            and min(module.in_channels, module.out_channels) >= MIN_CHANNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, H, W)`` -> ``(B, out, H, W)``, channels last."""
        return self.part(x, 0, True)

    def part(self, x: Tensor, start: int, bias: bool) -> Tensor:
        """The convolution over input channels ``start`` and on, as many as ``x`` has."""
        weight = self.weight[:, start : start + x.shape[1]]
        return _convolve(x, weight, self.bias if bias else None)


def accelerate(module: nn.Module) -> nn.Module:
    """Replace every convolution of ``module`` that `WinogradConv2d` fits, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if WinogradConv2d.fits(child):
                assert isinstance(child, nn.Conv2d)
                setattr(parent, name, WinogradConv2d(child))
    return module


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    batch, channels, height, width = x.shape
    down, across = (height + 1) // 2, (width + 1) // 2
    padded = F.pad(
        x.permute(0, 2, 3, 1), (0, 0, 1, 1 + 2 * across - width, 1, 1 + 2 * down - height)
    )
    out = x.new_empty(batch, 2 * down, 2 * across, weight.shape[2])
    strips = -(-down // min(max(STRIP_TILES // across, 1), down))
    height_of_strip = -(-down // strips)
    for top in range(0, down, height_of_strip):
        count = min(height_of_strip, down - top)
        rows = x.new_empty(4, count, padded.shape[2], channels)
        tiles = x.new_empty(4, 4, count, across, channels)
        products = x.new_empty(4, 4, count, across, weight.shape[2])
        flat = products.view(16, count * across, -1)
        for image, target in zip(padded, out, strict=True):
            _to_tiles(image[2 * top : 2 * (top + count) + 2], rows, tiles)
            torch.bmm(tiles.view(16, count * across, -1), weight, out=flat)
            if bias is not None:
                flat[5] += bias  # this product enters each of the four outputs once
            _from_tiles(products, target[2 * top : 2 * (top + count)])
    return out[:, :height, :width].permute(0, 3, 1, 2)


def _to_tiles(image: Tensor, rows: Tensor, tiles: Tensor) -> None:
    """``(2 n + 2, W, C)`` -> tiles ``(4, 4, n, W / 2 - 1, C)``, first along y, then along x.

    Of four lines a, b, c, d: a - c, b + c, c - b, b - d. The outer two are one operation on
    pairs of lines: few long operations run better than many short ones.
    """
    pairs = image.unflatten(0, (-1, 2)).transpose(0, 1)
    torch.sub(pairs[:, :-1], pairs[:, 1:], out=rows[::3])
    torch.add(pairs[1, :-1], pairs[0, 1:], out=rows[1])
    torch.sub(pairs[0, 1:], pairs[1, :-1], out=rows[2])
    pairs = rows.unflatten(2, (-1, 2)).movedim(3, 1)
    torch.sub(pairs[:, :, :, :-1], pairs[:, :, :, 1:], out=tiles[:, ::3])
    torch.add(pairs[:, 1, :, :-1], pairs[:, 0, :, 1:], out=tiles[:, 1])
    torch.sub(pairs[:, 0, :, 1:], pairs[:, 1, :, :-1], out=tiles[:, 2])


def _from_tiles(products: Tensor, target: Tensor) -> None:
    """Products ``(4, 4, n, w, C)``, overwritten -> ``(2 n, 2 w, C)``, first along y, then x.

    Of four a, b, c, d: a + b + c and b - c - d.
    """
    products[0].add_(products[1]).add_(products[2])
    products[1].sub_(products[2]).sub_(products[3])
    a, b, c, d = products[:2].unbind(1)
    left, right = target.unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).transpose(0, 1).unbind(3)
    torch.add(a, b, out=left).add_(c)
    torch.sub(b, c, out=right).sub_(d)
