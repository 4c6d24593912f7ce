"""TMO (Cho et al. 2023, "Treating Motion as Option to Reduce Motion Dependency in
Unsupervised Video Object Segmentation"): one foreground per frame from appearance and motion.

Two encoders of one kind, one for the frame and one for a picture of its optical flow; their
feature maps are added, and a decoder with attention gates turns the sums into two classes.
There is no state between frames. The motion encoder was trained on frames as well as on
flow pictures, so a frame may stand in for its flow picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapters.networks.naming import Naming
from adapters.networks.ops import IMAGENET_MEAN, IMAGENET_STD
from adapters.networks.resnet import ResNet, resnet_arguments
from adapters.networks.segformer import (
    OFFICIAL_NAMES,
    Segformer,
    SegformerConfig,
    segformer_config_of,
)

WORKING_SIZE = 384
"""Frames and flow pictures are brought to this square, whatever their aspect."""

CONFIDENT = 0.1
"""h of the adaptive output selection: class probabilities below it count as decided."""


@dataclass(frozen=True)
class TMOConfig:
    """Sizes of a TMO network; the defaults are those of the published rn101.

    resnet      depth and width of the encoders, where they are ResNets
    segformer   sizes of the encoders, where they are Mix Transformers (mitb1)
    channels    of the decoder
    """

    resnet: tuple[int, int] | None = (101, 64)
    segformer: SegformerConfig | None = None
    channels: int = 256

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """Channels of the encoders' maps at strides 4, 8, 16 and 32."""
        if self.segformer is not None:
            return self.segformer.widths
        with torch.device("meta"):
            return self.make_body().channels  # type: ignore[return-value]

    def make_body(self) -> nn.Module:
        """One encoder without its normalisation."""
        if self.segformer is not None:
            return Segformer(self.segformer)
        assert self.resnet is not None
        depth, width = self.resnet
        return ResNet(depth, stages=4, width=width)


class Foreground(NamedTuple):
    """What the network says of B frames.

    margin       ``(B, 1, S / 4, S / 4)``: score of the foreground less that of the background
    from_image   ``(B,) bool``: the version without flow was selected
    confidence   ``(B, 2)`` of the versions without and with flow; None without selection
    """

    margin: Tensor
    from_image: Tensor
    confidence: Tensor | None


class TMO(nn.Module):
    """The whole network."""

    def __init__(self, config: TMOConfig):
        super().__init__()
        self.config = config
        self.appearance = Encoder(config.make_body())
        self.motion = Encoder(config.make_body())
        self.decoder = Decoder(config.encoder_channels, config.channels)

    def forward(self, images: Tensor, pictures: Tensor) -> Tensor:
        """Scores ``(B, 2, S / 4, S / 4)`` of background and foreground.

        images, pictures   ``(B, 3, S, S)`` RGB in [0, 1], S a multiple of 32
        """
        appearance, motion = self.appearance(images), self.motion(pictures)
        return self.decoder([a + m for a, m in zip(appearance, motion, strict=True)])

    def foreground(self, images: Tensor, pictures: Tensor, select: bool = False) -> Foreground:
        """The foreground of B frames; with ``select`` the surer of two versions (section 3.4).

        One version has the flow picture as motion input, the other the frame itself, which
        wins only where it is strictly surer.
        """
        count = len(images)
        if not select:
            scores = self(images, pictures)
            chosen = torch.zeros(count, dtype=torch.bool, device=images.device)
            return Foreground(margins(scores), chosen, None)
        appearance = self.appearance(images)
        motion = self.motion(torch.cat([images, pictures]))
        both = margins(
            self.decoder(
                [a.repeat(2, 1, 1, 1) + m for a, m in zip(appearance, motion, strict=True)]
            )
        )
        sureness = output_confidence(enlarge(both)).unflatten(0, (2, count)).T
        chosen = sureness[:, 0] > sureness[:, 1]
        margin = torch.where(chosen[:, None, None, None], both[:count], both[count:])
        return Foreground(margin, chosen, sureness)


class Encoder(nn.Module):
    """ImageNet normalisation and a feature pyramid."""

    mean: Tensor
    std: Tensor

    def __init__(self, body: nn.Module):
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1))
        self.body = body

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.body((images - self.mean) / self.std)


class Decoder(nn.Module):
    """From the coarsest map to the finest: squeeze, blend with what came from below, gate."""

    def __init__(self, encoder_channels: tuple[int, ...], channels: int):
        super().__init__()
        self.stages = nn.ModuleList(
            DecoderStage(width, channels, 0 if level == 0 else channels)
            for level, width in enumerate(reversed(encoder_channels))
        )
        self.predictor = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        below = None
        for stage, skip in zip(self.stages, reversed(maps), strict=True):
            below = stage(skip, below)
        return self.predictor(below)


class DecoderStage(nn.Module):
    """``(B, C_in, h, w)`` and, from below, ``(B, C, h / 2, w / 2)`` to ``(B, C, h, w)``."""

    def __init__(self, channels_in: int, channels: int, channels_below: int):
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, channels, 1)
        self.blend = nn.Conv2d(channels + channels_below, channels, 3, padding=1)
        self.gate = Gate(channels)

    def forward(self, skip: Tensor, below: Tensor | None) -> Tensor:
        x = F.relu(self.squeeze(skip))
        if below is not None:
            x = torch.cat([x, separate_bicubic(below, (x.shape[2], x.shape[3]))], dim=1)
        return self.gate(F.relu(self.blend(x)))


class Gate(nn.Module):
    """A convolution, then channel and spatial attention (after Woo et al. 2018, "CBAM").

    Unlike CBAM the channel part does not narrow, the spatial part has two layers and takes
    the mean first, and there is no residual.
    """

    HIDDEN = 16

    def __init__(self, channels: int):
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 3, padding=1)
        self.channel_in = nn.Conv2d(channels, channels, 1)
        self.channel_out = nn.Conv2d(channels, channels, 1)
        self.spatial_in = nn.Conv2d(2, self.HIDDEN, 3, padding=1)
        self.spatial_out = nn.Conv2d(self.HIDDEN, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(x)
        pooled = torch.cat([x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)])
        channel = self.channel_out(F.relu(self.channel_in(pooled)))
        mean, largest = channel.chunk(2)
        x = x * torch.sigmoid(mean + largest)
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.spatial_out(F.relu(self.spatial_in(pooled))))


def bicubic(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic, corners not aligned, no antialiasing; values may leave the input's range."""
    return F.interpolate(maps, size, mode="bicubic", align_corners=False)


def separate_bicubic(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """`bicubic` as two matrix products, along y and along x: much quicker for many channels."""
    rows, columns = (
        _cubic_weights(length, target).to(maps)
        for length, target in zip(maps.shape[2:], size, strict=True)
    )
    lines = torch.matmul(rows, maps.permute(0, 2, 3, 1).flatten(2))
    return torch.matmul(columns, lines.unflatten(2, (maps.shape[3], -1))).permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _cubic_weights(length: int, target: int) -> Tensor:
    """``(target, length)``: how much of each value there is in each interpolated one."""
    with torch.inference_mode(False):  # training may use it later
        return bicubic(torch.eye(length)[None, None], (target, length))[0, 0]


def margins(scores: Tensor) -> Tensor:
    """``(B, 2, h, w)`` to ``(B, 1, h, w)``: interpolation is linear, so the difference of the
    two classes can be taken first, and the softmax is its sigmoid."""
    return scores[:, 1:] - scores[:, :1]


def enlarge(margin: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """A margin at stride 4 to the working size and from there to ``size``, as the original."""
    margin = bicubic(margin, (4 * margin.shape[2], 4 * margin.shape[3]))
    return margin if size is None else bicubic(margin, size)


def output_confidence(margin: Tensor) -> Tensor:
    """``(B,)``: how sure an output is, ``sqrt(sum((h - p)^2))`` over class probabilities p < h.

    margin   ``(B, 1, S, S)``
    """
    probabilities = torch.sigmoid(torch.cat([margin, -margin], dim=1).float())
    return (CONFIDENT - probabilities).clamp(min=0).square().sum((1, 2, 3)).sqrt()


def config_of(state: Mapping[str, Tensor]) -> TMOConfig:
    """The sizes behind a state dict with the project's names.

    Raises `KeyError` or `ValueError` where it does not belong to a `TMO`.
    """
    channels = state["decoder.predictor.weight"].shape[1]
    if "appearance.body.conv1.weight" in state:
        arguments = resnet_arguments(state, "appearance.body")
        return TMOConfig((arguments["depth"], arguments["width"]), None, channels)
    return TMOConfig(None, segformer_config_of(state, "appearance.body."), channels)


def _official_names() -> Iterator[tuple[str, str]]:
    for ours, official in (("appearance", "vos.app_encoder"), ("motion", "vos.mo_encoder")):
        yield f"{ours}.mean", f"{official}.mean"
        yield f"{ours}.std", f"{official}.std"
        for name in ("conv1.~", "bn1.~", "layer#.~"):
            yield f"{ours}.body.{name}", f"{official}.{name}"
        for own, theirs in OFFICIAL_NAMES:
            yield f"{ours}.body.{own}", f"{official}.backbone.encoder.{theirs}"
    for stage in range(4):
        ours, number = f"decoder.stages.{stage}", stage + 1
        yield f"{ours}.squeeze.~", f"vos.decoder.conv{number}.conv.~"
        yield f"{ours}.blend.~", f"vos.decoder.blend{number}.conv.~"
        gate = f"vos.decoder.cbam{number}"
        yield f"{ours}.gate.mix.~", f"{gate}.conv1.conv.~"
        yield f"{ours}.gate.channel_in.~", f"{gate}.conv2.0.conv.~"
        yield f"{ours}.gate.channel_out.~", f"{gate}.conv2.1.conv.~"
        yield f"{ours}.gate.spatial_in.~", f"{gate}.conv3.0.conv.~"
        yield f"{ours}.gate.spatial_out.~", f"{gate}.conv3.1.conv.~"
    yield "decoder.predictor.~", "vos.decoder.predictor.conv.~"


NAMES = Naming(_official_names())
"""The project's names and those of the published checkpoints."""
