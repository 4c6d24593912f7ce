"""RepViT (Wang et al. 2023, "RepViT: Revisiting Mobile CNN From ViT Perspective"), the image
encoder of EdgeTAM.

Package ``transformers`` takes it from package ``timm``, which cannot be imported without
torchvision. This one takes the same weights: modules are called as there.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mose import InputError
from stseg.errors import unknown

WIDTHS = {"repvit_m1": ((48, 96, 192, 384), (2, 2, 14, 2))}
"""Architecture -> channels and blocks of its four stages. No other is published with EdgeTAM."""

EXPANSION = 2
"""Hidden channels of a channel mixer, as a multiple of its own."""

SQUEEZE = 4
"""Channels are divided by it, and made a multiple of 8, to weigh them (squeeze and excitation)."""


class RepVitBackbone(nn.Module):
    """In the place of ``TimmWrapperModel``.

    config   a ``TimmWrapperConfig``; `InputError` for another architecture
    """

    def __init__(self, config: Any):
        super().__init__()
        name = str(config.architecture).partition(".")[0]
        if name not in WIDTHS:
            raise unknown("image encoder", name, WIDTHS, " of EdgeTAM")
        if not (config.model_args or {}).get("features_only"):
            raise InputError(f"image encoder {name} of EdgeTAM does not give its feature maps")
        self.timm_model = RepVit(*WIDTHS[name])

    def forward(self, pixel_values: Tensor, **unused: Any) -> SimpleNamespace:
        maps = self.timm_model(pixel_values.to(next(self.parameters()).dtype))
        return SimpleNamespace(last_hidden_state=maps, hidden_states=None)


class RepVit(nn.Module):
    """``(B, 3, H, W)`` to maps at strides 4, 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...]):
        super().__init__()
        first = widths[0]
        self.stem = nn.Sequential()
        self.stem.add_module("conv1", normed(3, first // 2, 3, stride=2))
        self.stem.add_module("act1", nn.GELU())
        self.stem.add_module("conv2", normed(first // 2, first, 3, stride=2))
        before = (None, *widths)
        self._stages = [f"stages_{number}" for number in range(len(widths))]
        for name, came, width, depth in zip(self._stages, before, widths, depths, strict=False):
            setattr(self, name, RepVitStage(came, width, depth))

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.stem(x), []
        for name in self._stages:
            x = getattr(self, name)(x)
            maps.append(x)
        return maps


class RepVitStage(nn.Module):
    """Blocks at one stride; with ``before`` channels before it, it halves the sides first."""

    def __init__(self, before: int | None, width: int, depth: int):
        super().__init__()
        self.downsample = nn.Identity() if before is None else RepVitHalving(before, width)
        blocks = (RepVitBlock(width, squeezed=index % 2 == 0) for index in range(depth))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class RepVitBlock(nn.Module):
    """Mixes places, channel by channel, and then channels, place by place."""

    def __init__(self, width: int, squeezed: bool):
        super().__init__()
        self.token_mixer = PlaceMixer(width)
        self.se = ChannelWeights(width) if squeezed else nn.Identity()
        self.channel_mixer = ChannelMixer(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))
        return x + self.channel_mixer(x)


class RepVitHalving(nn.Module):
    """Half the sides, and other channels."""

    def __init__(self, before: int, width: int):
        super().__init__()
        self.pre_block = RepVitBlock(before, squeezed=False)
        self.spatial_downsample = normed(before, before, 3, stride=2, groups=before)
        self.channel_downsample = normed(before, width)
        self.ffn = ChannelMixer(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        return x + self.ffn(x)


class PlaceMixer(nn.Module):
    """The sum of a 3 x 3 and a 1 x 1 convolution of each channel, and of what came in."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = normed(width, width, 3, groups=width)
        self.conv1 = normed(width, width, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.conv1(x) + x


class ChannelMixer(nn.Module):
    """Two convolutions of single places."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = normed(width, EXPANSION * width)
        self.conv2 = normed(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.gelu(self.conv1(x)))


class ChannelWeights(nn.Module):
    """Squeeze and excitation (Hu et al. 2018): channels weighed by their means."""

    def __init__(self, width: int):
        super().__init__()
        hidden = max(8, (width // SQUEEZE + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * self.fc2(F.relu(self.fc1(mean))).sigmoid()


def normed(before: int, width: int, side: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution ``c`` without bias, and its batch norm ``bn``."""
    conv = nn.Conv2d(before, width, side, stride, side // 2, groups=groups, bias=False)
    both = nn.Sequential()
    both.add_module("c", conv)
    both.add_module("bn", nn.BatchNorm2d(width))
    return both
