"""LiVOS's network (Liu et al. 2024, "Light Video Object Segmentation with Gated Linear Matching").

Cutie's network with other keys, a gate and another decoder; shapes as in
`adapters.networks.object_network`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from adapters.networks.blocks import MaskUpsampling, conv3x3
from adapters.networks.naming import Naming
from adapters.networks.object_network import (
    OTHERS_PLANE,
    CutieConfig,
    MaskDecoder,
    ObjectNetwork,
    shared_config,
)
from adapters.networks.object_transformer import OFFICIAL_NAMES
from adapters.networks.ops import normalise

OPEN = 4.0
"""Logit of the gates of an untrained network: a frame leaves 98 % of the state."""


class GatedFeatures(NamedTuple):
    """What one pass over images gives; each entry has the images in its first dimension.

    pixels   ``(B, P, h, w)`` features at stride 16
    key      ``(B, K, h, w)``, a softmax over the channels of each pixel
    gate     ``(B, V)`` in [0, 1], what the frame leaves of the state
    skip8    what the mask decoder adds at stride 8
    skip4    at stride 4
    """

    pixels: Tensor
    key: Tensor
    gate: Tensor
    skip8: Tensor
    skip4: Tensor


class SmoothBlock(nn.Module):
    """Two convolutions, each with a GELU after it, and a 1x1 skip where channels change."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = conv3x3(in_channels, out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.skip = None
        if in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return out + (x if self.skip is None else self.skip(x))


class SmoothUpsampling(MaskUpsampling):
    """`MaskUpsampling` around a `SmoothBlock`."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, skip_kernel=1)
        self.block = SmoothBlock(in_channels, out_channels)


class LivosDecoder(MaskDecoder):
    """`MaskDecoder` of smooth blocks, with a 1x1 convolution at the end."""

    def __init__(self, channels: tuple[int, int], dims: tuple[int, int, int], sensory_dim: int):
        super().__init__(channels, dims, sensory_dim)
        self.up8 = SmoothUpsampling(dims[0], dims[1])
        self.up4 = SmoothUpsampling(dims[1], dims[2])
        self.predict = nn.Conv2d(dims[2], 1, 1)

    def logits(self, g4: Tensor) -> Tensor:
        return self.predict(g4)


class LiVOS(ObjectNetwork):
    """LiVOS: keys and gates for gated linear matching (`LinearState`)."""

    decoder_type = LivosDecoder

    def __init__(self, config: CutieConfig):
        super().__init__(config)
        channels16 = self.image_encoder.channels[-1]
        self.key_projection = conv3x3(config.pixel_dim, config.key_rank or config.key_dim)
        self.key_clusters = None
        if config.key_rank:
            self.key_clusters = nn.Conv2d(config.key_rank, config.key_dim, 1)
        self.gate_projection = nn.Conv2d(channels16, config.value_dim, 1)
        assert self.gate_projection.bias is not None
        nn.init.constant_(self.gate_projection.bias, OPEN)

    def encode_images(self, images: Tensor) -> GatedFeatures:
        """RGB ``(B, 3, H, W)`` in [0, 1], padded with zeros where H or W needs it."""
        f4, f8, f16 = self.image_encoder(normalise(images))
        key = self.key_projection(self.key_reduction(f16))
        if self.key_clusters is not None:
            key = self.key_clusters(key)
        gate = self.gate_projection(f16).sigmoid().mean((2, 3))
        skip8, skip4 = self.decoder.skip8(f8), self.decoder.skip4(f4)
        return GatedFeatures(self.pixel_projection(f16), key.softmax(1), gate, skip8, skip4)


def config_of(state: Mapping[str, Tensor]) -> CutieConfig:
    """The sizes of the network behind a state dict in the project's names.

    Raises `KeyError` for an entry that is not there, `ValueError` for an unknown ResNet.
    """
    rank = state["key_projection.weight"].shape[0]
    clusters = state.get("key_clusters.weight")
    keys = (rank, 0) if clusters is None else (clusters.shape[0], rank)
    return CutieConfig(**shared_config(state), key_dim=keys[0], key_rank=keys[1])  # type: ignore[arg-type]


def _official_names() -> Iterator[tuple[str, str]]:
    yield "image_encoder.~", "image_encoder.~"
    yield "pixel_projection.~", "pix_projector.layer.~"
    yield "key_reduction.~", "key_projector.layer1.~"
    yield "key_projection.~", "key_projector.layer2.~"
    yield "key_clusters.~", "key_projector.layer3.~"
    yield "gate_projection.~", "gate_projector.layer.~"
    for ours, official in (
        ("value_fusion", "mask_encoder.fuser"),
        ("readout_fusion", "pixel_fuser.fuser"),
    ):
        yield f"{ours}.image_projection.~", f"{official}.x_transform.~"
        yield f"{ours}.object_projection.~", f"{official}.y_transform.~"
        yield f"{ours}.block#.attention.~", f"{official}.layer#.conv.~"
        yield f"{ours}.block#.~", f"{official}.layer#.~"
    yield "deep_sensory.~", "mask_encoder.sensory_updater.~"
    yield "readout_sensory.~", "pixel_fuser.conv.~"
    yield "decoder.sensory.update.transform.~", "mask_decoder.sensory_updater.transform.~"
    for stride in (16, 8, 4):
        name = f"mask_decoder.sensory_updater.g{stride}_conv.~"
        yield f"decoder.sensory.project{stride}.~", name
    yield "decoder.skip8.~", "mask_decoder.linear_proj_f8.~"
    yield "decoder.skip4.~", "mask_decoder.linear_proj_f4.~"
    for ours, official in (("up8", "upsample_16_to_8"), ("up4", "upsample_8_to_4")):
        yield f"decoder.{ours}.block.skip.~", f"mask_decoder.{official}.linear_proj.~"
        yield f"decoder.{ours}.block.~", f"mask_decoder.{official}.~"
    yield "decoder.predict.~", "mask_decoder.pred.~"
    yield "sensory_head.~", "aux_computer.sensory_aux.~"
    yield from OFFICIAL_NAMES


__all__ = ["NAMES", "OTHERS_PLANE", "STORED", "GatedFeatures", "LiVOS", "config_of"]

STORED = ("normaliser",)
"""Fields of the configuration that no shape tells: they are stored with the weights."""

NAMES = Naming(_official_names())
"""The project's names and those of the published checkpoints."""
