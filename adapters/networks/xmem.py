"""XMem's network (Cheng and Schwing 2022, "XMem: Long-Term Video Object Segmentation with an
Atkinson-Shiffrin Memory Model").

Shapes: B images, N objects each, (H, W) multiples of 16, (h, w) = (H / 16, W / 16). What
exists per object is folded into the batch, ``(B * N, C, h, w)``, objects of one image next
to each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.networks.affinity import ImageFeatures, read_frames
from adapters.networks.blocks import (
    ConcatFusion,
    DecoderSensoryUpdate,
    KeyProjection,
    MaskUpsampling,
    SensoryUpdate,
    conv3x3,
)
from adapters.networks.naming import Naming
from adapters.networks.ops import normalise, others
from adapters.networks.resnet import ResNet, resnet_arguments


@dataclass(frozen=True)
class XMemConfig:
    """Sizes of the network; the defaults are the published one.

    image_depth, image_width   depth and width of the ResNet that sees the image
    mask_depth, mask_width     of the ResNet that sees the image with a mask
    key_dim, value_dim         channels of memory keys and values
    sensory_dim                channels of the sensory memory; 0: there is none
    sensory_hidden             channels that the decoder's maps are brought to for its update
    decoder_dims               channels of the mask decoder at strides 16, 8 and 4
    """

    image_depth: int = 50
    image_width: int = 64
    mask_depth: int = 18
    mask_width: int = 64
    key_dim: int = 64
    value_dim: int = 512
    sensory_dim: int = 64
    sensory_hidden: int = 256
    decoder_dims: tuple[int, int, int] = (512, 256, 256)


class XMemDecoder(nn.Module):
    """From a memory readout at stride 16 to mask logits at stride 4."""

    def __init__(self, channels: tuple[int, ...], config: XMemConfig):
        super().__init__()
        channels4, channels8, channels16 = channels
        dims = config.decoder_dims
        self.fusion = ConcatFusion(channels16, config.value_dim + config.sensory_dim, dims[0])
        self.skip8 = conv3x3(channels8, dims[0])
        self.skip4 = conv3x3(channels4, dims[1])
        self.up8 = MaskUpsampling(dims[0], dims[1])
        self.up4 = MaskUpsampling(dims[1], dims[2])
        self.predict = conv3x3(dims[2], 1)
        self.sensory: DecoderSensoryUpdate | None = None
        if config.sensory_dim:
            self.sensory = DecoderSensoryUpdate(dims, config.sensory_hidden, config.sensory_dim)

    def forward(
        self, features: ImageFeatures, readout: Tensor, sensory: Tensor, *, update_sensory: bool
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(B * N, 1, 4h, 4w)`` and the sensory memory, updated where asked."""
        g16 = self.fusion(features.pixels, torch.cat([readout, sensory], 1))
        g8 = self.up8(g16, features.skip8)
        g4 = self.up4(g8, features.skip4)
        logits = self.predict(F.relu(g4))
        if update_sensory and self.sensory is not None:
            sensory = self.sensory(g16, g8, g4, logits, sensory)
        return logits, sensory


class XMem(nn.Module):
    """Keys from images, values from images with masks, masks from what is read."""

    def __init__(self, config: XMemConfig):
        super().__init__()
        self.config = config
        self.image_encoder = ResNet(config.image_depth, 3, width=config.image_width)
        channels16 = self.image_encoder.channels[-1]
        self.key_projection = KeyProjection(channels16, config.key_dim)
        self.mask_encoder = ResNet(config.mask_depth, 5, width=config.mask_width)
        self.value_fusion = ConcatFusion(
            channels16, self.mask_encoder.channels[-1], config.value_dim
        )
        self.deep_sensory: SensoryUpdate | None = None
        if config.sensory_dim:
            self.deep_sensory = SensoryUpdate(config.value_dim, config.sensory_dim)
        self.decoder = XMemDecoder(self.image_encoder.channels, config)

    def encode_images(self, images: Tensor) -> ImageFeatures:
        """RGB ``(B, 3, H, W)`` in [0, 1], padded with ImageNet's mean colour where needed."""
        f4, f8, f16 = self.image_encoder(normalise(images))
        key, shrinkage, selection = self.key_projection(f16)
        skip8, skip4 = self.decoder.skip8(f8), self.decoder.skip4(f4)
        return ImageFeatures(f16, key, shrinkage, selection, skip8, skip4)

    def encode_masks(
        self,
        images: Tensor,
        pixels: Tensor,
        masks: Tensor,
        sensory: Tensor,
        *,
        deep_update: bool = True,
        chunk: int = -1,
    ) -> tuple[Tensor, Tensor]:
        """Memory values of a frame with known masks.

        images    ``(B, 3, H, W)`` RGB in [0, 1]
        pixels    ``(B, P, h, w)`` of `ImageFeatures`
        masks     ``(B, N, H, W)`` in [0, 1]
        sensory   ``(B * N, S, h, w)``
        chunk     objects per image that are worked on at once; -1: all

        Returns values ``(B * N, V, h, w)`` and the sensory memory, updated where asked.
        """
        batch, objects = masks.shape[:2]
        rest = others(masks, 1)
        pictures = normalise(images)[:, None]
        before = sensory.unflatten(0, (batch, objects))
        values, states = [], []
        for part in chunks(objects, chunk):
            planes = torch.stack([masks[:, part], rest[:, part]], 2)
            seen = torch.cat([pictures.expand(-1, planes.shape[1], -1, -1, -1), planes], 2)
            # The concatenation lost the memory format, and the stem is slow without it.
            seen = seen.flatten(0, 1).contiguous(memory_format=torch.channels_last)
            value = self.value_fusion(pixels, self.mask_encoder(seen)[-1])
            values.append(value.unflatten(0, (batch, -1)))
            if deep_update and self.deep_sensory is not None:
                state = self.deep_sensory(value, before[:, part].flatten(0, 1))
                states.append(state.unflatten(0, (batch, -1)))
        if states:
            sensory = joined(states)
        return joined(values), sensory

    def decode(
        self,
        features: ImageFeatures,
        readout: Tensor,
        sensory: Tensor,
        *,
        update_sensory: bool = True,
        chunk: int = -1,
    ) -> tuple[Tensor, Tensor]:
        """Mask logits ``(B, N, 4h, 4w)`` and the sensory memory, updated where asked.

        readout   ``(B * N, V, h, w)`` of the memory
        sensory   ``(B * N, S, h, w)``
        chunk     objects per image that are worked on at once; -1: all
        """
        batch = features.pixels.shape[0]
        readout = readout.unflatten(0, (batch, -1))
        before = sensory.unflatten(0, (batch, -1))
        logits, states = [], []
        for part in chunks(readout.shape[1], chunk):
            logit, state = self.decoder(
                features,
                readout[:, part].flatten(0, 1),
                before[:, part].flatten(0, 1),
                update_sensory=update_sensory,
            )
            logits.append(logit.view(batch, -1, *logit.shape[2:]))
            states.append(state.unflatten(0, (batch, -1)))
        if update_sensory:
            sensory = joined(states)
        return torch.cat(logits, 1), sensory

    def read(self, query: ImageFeatures, memory: list[ImageFeatures], values: Tensor) -> Tensor:
        """Readout ``(B * N, V, h, w)`` from whole frames, for training: no top-k.

        memory   features of T earlier frames, each of B images
        values   ``(B, N, T, V, h, w)``
        """
        return read_frames(query, memory, values)


def chunks(count: int, size: int) -> list[slice]:
    """``count`` objects in slices of at most ``size``; -1: one slice."""
    step = size if size > 0 else max(count, 1)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def joined(parts: list[Tensor]) -> Tensor:
    """Chunks ``(B, n, ...)`` of the objects -> ``(B * N, ...)``; no copy of a single one."""
    return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).flatten(0, 1)


def config_of(state: Mapping[str, Tensor]) -> XMemConfig:
    """The sizes of the network behind a state dict in the project's names.

    Raises `KeyError` for an entry that is not there, `ValueError` for an unknown ResNet.
    """
    image = resnet_arguments(state, "image_encoder")
    mask = resnet_arguments(state, "mask_encoder")
    sizes: dict[str, int] = {"sensory_dim": 0}
    if "decoder.sensory.update.transform.weight" in state:
        sizes = {
            "sensory_dim": state["decoder.sensory.update.transform.weight"].shape[0] // 3,
            "sensory_hidden": state["decoder.sensory.project16.weight"].shape[0],
        }
    names = ("decoder.fusion.block2", "decoder.up8.block", "decoder.up4.block")
    dims = [state[f"{name}.conv2.weight"].shape[0] for name in names]
    return XMemConfig(
        image_depth=image["depth"],
        image_width=image["width"],
        mask_depth=mask["depth"],
        mask_width=mask["width"],
        key_dim=state["key_projection.key.weight"].shape[0],
        value_dim=state["value_fusion.block2.conv2.weight"].shape[0],
        decoder_dims=(dims[0], dims[1], dims[2]),
        **sizes,
    )


def _official_names() -> Iterator[tuple[str, str]]:
    yield "image_encoder.layer1.~", "key_encoder.res2.~"
    yield "image_encoder.~", "key_encoder.~"
    yield "key_projection.key.~", "key_proj.key_proj.~"
    yield "key_projection.shrinkage.~", "key_proj.d_proj.~"
    yield "key_projection.selection.~", "key_proj.e_proj.~"
    for ours, official in (
        ("value_fusion", "value_encoder.fuser"),
        ("decoder.fusion", "decoder.fuser"),
    ):
        yield f"{ours}.attention.reduce.~", f"{official}.attention.ChannelGate.mlp.1.~"
        yield f"{ours}.attention.expand.~", f"{official}.attention.ChannelGate.mlp.3.~"
        yield f"{ours}.attention.spatial.~", f"{official}.attention.SpatialGate.spatial.conv.~"
        yield f"{ours}.block#.skip.~", f"{official}.block#.downsample.~"
        yield f"{ours}.block#.~", f"{official}.block#.~"
    yield "deep_sensory.~", "value_encoder.hidden_reinforce.~"
    yield "mask_encoder.~", "value_encoder.~"
    for stride in (16, 8, 4):
        yield f"decoder.sensory.project{stride}.~", f"decoder.hidden_update.g{stride}_conv.~"
    yield "decoder.sensory.update.~", "decoder.hidden_update.~"
    for stride, name in ((8, "up_16_8"), (4, "up_8_4")):
        yield f"decoder.skip{stride}.~", f"decoder.{name}.skip_conv.~"
        yield f"decoder.up{stride}.block.skip.~", f"decoder.{name}.out_conv.downsample.~"
        yield f"decoder.up{stride}.block.~", f"decoder.{name}.out_conv.~"
    yield "decoder.predict.~", "decoder.pred.~"


NAMES = Naming(_official_names())
"""The project's names and those of the published checkpoints."""

OTHERS_PLANE = ("mask_encoder.conv1.weight",)
"""Convolutions whose last input channel is the plane of the other objects."""
