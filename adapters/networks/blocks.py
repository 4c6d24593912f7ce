"""Building blocks of the memory networks (XMem, Cutie, LiVOS).

Everything that exists once per object has its objects folded into the batch:
``(B * N, C, h, w)``, the objects of one image next to each other. What exists once per
image is ``(B, C, h, w)`` and is handed over as it is; convolutions over both compute the
image's share once (`split_conv`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.networks.ops import area_downsample, per_object, upsample


def conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3x3 convolution that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1)


def split_conv(conv: nn.Conv2d, image: Tensor, objects: Tensor) -> Tensor:
    """``conv(cat[image, objects])`` with the part over the image computed once per image.

    image ``(B, Ci, h, w)``, objects ``(B * N, Co, h, w)`` with ``Ci + Co`` the channels
    that ``conv`` takes; returns ``(B * N, C, h, w)``. Exact but for the order of addition.
    """
    channels = image.shape[1]
    count = objects.shape[0] // image.shape[0]
    if count == 1:
        return conv(torch.cat([image, objects], 1))
    shared = _part(conv, image, 0, True)
    own = _part(conv, objects, channels, False)
    return own + per_object(shared, count)


def _part(conv: nn.Conv2d, x: Tensor, start: int, bias: bool) -> Tensor:
    """A convolution over input channels ``start`` and on, as many as ``x`` has."""
    weight = conv.weight[:, start : start + x.shape[1]]
    return F.conv2d(x, weight, conv.bias if bias else None, conv.stride, conv.padding)


class ResidualBlock(nn.Module):
    """Pre-activation residual block without norm: ``conv(relu(conv(relu(x)))) + skip(x)``.

    The skip is the identity where the channels are equal, else a convolution of
    ``skip_kernel`` (3 in XMem, 1 in Cutie).
    """

    def __init__(self, in_channels: int, out_channels: int, skip_kernel: int = 3):
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.skip = None
        if in_channels != out_channels:
            padding = skip_kernel // 2
            self.skip = nn.Conv2d(in_channels, out_channels, skip_kernel, padding=padding)

    def forward(self, x: Tensor, image: Tensor | None = None) -> Tensor:
        """``(B * N, C, h, w)``; with ``image`` (B, Ci, h, w) the block is over cat[image, x]."""
        if image is None:
            out = self.conv1(F.relu(x))
            skip = x if self.skip is None else self.skip(x)
        else:
            if self.skip is None:
                count = x.shape[0] // image.shape[0]
                return self.forward(torch.cat([per_object(image, count), x], 1))
            out = split_conv(self.conv1, F.relu(image), F.relu(x))
            skip = split_conv(self.skip, image, x)
        return self.conv2(F.relu(out)) + skip


class CBAM(nn.Module):
    """Channel, then spatial attention (Woo et al. 2018), as in XMem: maximum before mean."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` -> gated, same shape."""
        gate = self._mlp(x.mean((2, 3))) + self._mlp(x.amax((2, 3)))
        x = x * torch.sigmoid(gate)[:, :, None, None]
        pooled = torch.stack([x.amax(1), x.mean(1)], 1)
        return x * torch.sigmoid(self.spatial(pooled))

    def _mlp(self, pooled: Tensor) -> Tensor:
        return self.expand(F.relu(self.reduce(pooled)))


class ChannelAttentionBlock(nn.Module):
    """Residual block with efficient channel attention (ECA, Wang et al. 2020), as in Cutie."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        kernel = int((abs(math.log2(channels)) + 1) // 2)
        kernel += 1 - kernel % 2
        self.attention = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` -> same shape."""
        out = self.conv2(F.relu(self.conv1(F.relu(x))))
        gate = self.attention(out.mean((2, 3))[:, None]).sigmoid()
        return torch.addcmul(x, out, gate.transpose(1, 2)[..., None])


class ConcatFusion(nn.Module):
    """Image and object features joined by concatenation, residual blocks and CBAM (XMem)."""

    def __init__(self, image_channels: int, object_channels: int, out_channels: int):
        super().__init__()
        self.block1 = ResidualBlock(image_channels + object_channels, out_channels)
        self.attention = CBAM(out_channels)
        self.block2 = ResidualBlock(out_channels, out_channels)

    def forward(self, image: Tensor, objects: Tensor) -> Tensor:
        """``(B, Ci, h, w)`` and ``(B * N, Co, h, w)`` -> ``(B * N, C, h, w)``."""
        out = self.block1(objects, image)
        return self.block2(out + self.attention(out))


class SumFusion(nn.Module):
    """Image and object features joined by addition and channel attention (Cutie, LiVOS)."""

    def __init__(self, image_channels: int, object_channels: int, out_channels: int):
        super().__init__()
        self.image_projection = nn.Conv2d(image_channels, out_channels, 1)
        self.object_projection = nn.Conv2d(object_channels, out_channels, 1)
        self.block1 = ChannelAttentionBlock(out_channels)
        self.block2 = ChannelAttentionBlock(out_channels)

    def forward(self, image: Tensor, objects: Tensor) -> Tensor:
        """``(B, Ci, h, w)`` and ``(B * N, Co, h, w)`` -> ``(B * N, C, h, w)``."""
        count = objects.shape[0] // image.shape[0]
        joined = per_object(self.image_projection(image), count) + self.object_projection(objects)
        return self.block2(self.block1(joined))


class MaskUpsampling(nn.Module):
    """Twice the size with the image's finer map added: ``block(up2(x) + image)``.

    skip_kernel   of the residual block
    """

    def __init__(self, in_channels: int, out_channels: int, skip_kernel: int = 3):
        super().__init__()
        self.block: nn.Module = ResidualBlock(in_channels, out_channels, skip_kernel)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """``(B * N, C, h, w)`` and the image's ``(B, C, 2h, 2w)`` -> ``(B * N, C', 2h, 2w)``."""
        return self.block(upsample(x, 2) + per_object(image, x.shape[0] // image.shape[0]))


class SensoryUpdate(nn.Module):
    """Gated recurrent update of the sensory memory.

    Not a standard GRU: the candidate is computed from the ungated state (XMem, Cheng and
    Schwing 2022, Sec. 3.4): ``h' = forget * h * (1 - update) + update * candidate``.
    """

    def __init__(self, in_channels: int, sensory_channels: int):
        super().__init__()
        self.transform = conv3x3(in_channels + sensory_channels, 3 * sensory_channels)
        nn.init.xavier_normal_(self.transform.weight)

    def forward(self, x: Tensor, sensory: Tensor) -> Tensor:
        """Input ``(B * N, C, h, w)``, state ``(B * N, S, h, w)`` -> the next state."""
        forget, update, candidate = self.transform(torch.cat([x, sensory], 1)).chunk(3, 1)
        forget, update = torch.sigmoid(forget), torch.sigmoid(update)
        return forget * sensory * (1 - update) + update * torch.tanh(candidate)


class DecoderSensoryUpdate(nn.Module):
    """Sensory update from what the mask decoder computed at strides 16, 8 and 4.

    channels   of the decoder's maps at strides 16, 8, 4; the logit is added to the last
    hidden     channels that the three are brought to and summed in
    """

    def __init__(self, channels: tuple[int, int, int], hidden: int, sensory_channels: int):
        super().__init__()
        self.project16 = nn.Conv2d(channels[0], hidden, 1)
        self.project8 = nn.Conv2d(channels[1], hidden, 1)
        self.project4 = nn.Conv2d(channels[2] + 1, hidden, 1)
        self.update = SensoryUpdate(hidden, sensory_channels)

    def forward(
        self, g16: Tensor, g8: Tensor, g4: Tensor, logit: Tensor, sensory: Tensor
    ) -> Tensor:
        """Maps ``(B * N, C, ...)`` at strides 16, 8, 4, the stride-4 logit ``(B * N, 1, ...)``
        and the state ``(B * N, S, h, w)`` at stride 16 -> the next state."""
        # Shrinking before the concatenation is the same and touches less memory.
        finest = torch.cat([area_downsample(g4, 4), area_downsample(logit, 4)], 1)
        x = self.project16(g16) + self.project8(area_downsample(g8, 2)) + self.project4(finest)
        return self.update(x, sensory)


class KeyProjection(nn.Module):
    """Key, shrinkage and selection of a frame (XMem Sec. 3.2)."""

    def __init__(self, in_channels: int, key_channels: int):
        super().__init__()
        self.key = conv3x3(in_channels, key_channels)
        self.shrinkage = conv3x3(in_channels, 1)
        self.selection = conv3x3(in_channels, key_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(B, C, h, w)`` -> key ``(B, Ck, h, w)``, shrinkage ``(B, 1, h, w)`` >= 1,
        selection ``(B, Ck, h, w)`` in [0, 1]."""
        return self.key(x), self.shrinkage(x).square() + 1, self.selection(x).sigmoid()
