"""ResNet feature pyramids (He et al. 2016), in the v1.5 form with the stride on the 3x3.

Parameter names are torchvision's (``conv1``, ``bn1``, ``layer1.0.conv1``, ...), so its
state dicts fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYOUTS: dict[int, tuple[str, tuple[int, int, int, int]]] = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    26: ("bottleneck", (2, 2, 2, 2)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""Depth -> kind of block and number of blocks per stage."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the identity (ResNet-18)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1 and the identity (ResNet-50, -101)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1):
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _projection(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)), inplace=True)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class ResNet(nn.Module):
    """A ResNet that returns its feature maps.

    depth         one of `LAYOUTS`
    in_channels   3 for an image; mask encoders take an image and masks
    stages        3 (strides 4, 8, 16) or 4 (and 32)
    width         channels of the first stage before expansion; 64 in the standard networks

    ``channels`` holds the channels of each returned map: 256, 512, 1024(, 2048) for
    ResNet-50, 64, 128, 256(, 512) for ResNet-18.
    """

    def __init__(self, depth: int = 50, in_channels: int = 3, stages: int = 3, width: int = 64):
        super().__init__()
        kind, blocks = LAYOUTS[depth]
        block = BasicBlock if kind == "basic" else Bottleneck
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        self.channels: tuple[int, ...] = ()
        for stage in range(stages):
            layers: list[nn.Module] = []
            for index in range(blocks[stage]):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(block(channels, width << stage, stride))
                channels = (width << stage) * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            self.channels += (channels,)

    def forward(self, x: Tensor) -> list[Tensor]:
        """``(B, in_channels, H, W)`` -> maps ``(B, channels[i], H / 2^(i+2), W / 2^(i+2))``."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for stage in range(len(self.channels)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            features.append(x)
        return features


def resnet_arguments(state: Mapping[str, Tensor], prefix: str) -> dict[str, int]:
    """The arguments of the `ResNet` whose state dict lies under ``prefix`` in ``state``.

    Raises `KeyError` where there is no ResNet, `ValueError` for an unknown depth.
    """
    stem = state[f"{prefix}.conv1.weight"]
    counts: list[int] = []
    while f"{prefix}.layer{len(counts) + 1}.0.conv1.weight" in state:
        layer = f"{prefix}.layer{len(counts) + 1}"
        blocks = 0
        while f"{layer}.{blocks}.conv1.weight" in state:
            blocks += 1
        counts.append(blocks)
    kind = "bottleneck" if f"{prefix}.layer1.0.conv3.weight" in state else "basic"
    for depth, (depth_kind, layout) in LAYOUTS.items():
        if counts and depth_kind == kind and layout[: len(counts)] == tuple(counts):
            return {
                "depth": depth,
                "in_channels": stem.shape[1],
                "stages": len(counts),
                "width": stem.shape[0],
            }
    raise ValueError(f"no ResNet has {kind} stages of {counts} blocks")


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Fold every batch norm of the ResNets in ``module`` into the convolution before it.

    In place and for inference only: afterwards the state dict is no longer the published
    one. Returns ``module`` in eval mode.
    """
    module.eval()
    for part in list(module.modules()):
        names = dict(part.named_children())
        pairs = [(f"conv{i}", f"bn{i}") for i in (1, 2, 3)]
        if isinstance(part, nn.Sequential):
            pairs = [("0", "1")]
        for conv_name, norm_name in pairs:
            conv, norm = names.get(conv_name), names.get(norm_name)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, conv_name, _folded(conv, norm))
                setattr(part, norm_name, nn.Identity())
    return module


@torch.no_grad()
def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    # In float64, so that folding costs no more than one rounding of the weights.
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    if conv.bias is not None:
        bias = bias + conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(conv.weight), requires_grad=False)
    return conv
