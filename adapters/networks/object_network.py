"""The network that Cutie and LiVOS share: everything but keys and the way a memory is read.

Cheng et al. 2024, "Putting the Object Back into Video Object Segmentation".

Shapes: B images, N objects each, (H, W) multiples of 16, (h, w) = (H / 16, W / 16). What exists per
object is folded into the batch, ``(B * N, C, h, w)``, objects of one image next
to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.networks.blocks import (
    DecoderSensoryUpdate,
    MaskUpsampling,
    SensoryUpdate,
    SumFusion,
    conv3x3,
)
from adapters.networks.linear_matching import NORMALISERS
from adapters.networks.object_transformer import ObjectSummarizer, ObjectTransformer
from adapters.networks.ops import area_downsample, normalise, others
from adapters.networks.resnet import ResNet, resnet_arguments


@dataclass(frozen=True)
class CutieConfig:
    """Sizes of the network; the defaults are Cutie base, ``image_depth=18`` is Cutie small.

    image_depth, image_width   depth and width of the ResNet that sees the image
    mask_depth, mask_width     of the ResNet that sees the image with a mask
    pixel_dim                  channels of an image's features at stride 16
    key_dim, value_dim         channels of memory keys and values
    key_rank                   of LiVOS: channels from which those of keys are made, place by
                               place; 0, as published: keys are made at once
    sensory_dim                channels of the sensory memory
    embed_dim                  channels in the object transformer; one head per 32
    decoder_dims               channels of the mask decoder at strides 8 and 4
    blocks, queries, hidden    of the object transformer; half of the queries see foreground
    normaliser                 of LiVOS's memory: frame, as published, place or regression, see
                               `adapters.networks.linear_matching`; no shape tells it, so it is
                               stored with the weights
    """

    image_depth: int = 50
    image_width: int = 64
    mask_depth: int = 18
    mask_width: int = 64
    pixel_dim: int = 256
    key_dim: int = 64
    key_rank: int = 0
    value_dim: int = 256
    sensory_dim: int = 256
    embed_dim: int = 256
    decoder_dims: tuple[int, int] = (128, 128)
    blocks: int = 3
    queries: int = 16
    hidden: int = 2048
    normaliser: str = "frame"

    def __post_init__(self) -> None:
        if self.normaliser not in NORMALISERS:
            raise ValueError(
                f"normaliser is {self.normaliser!r}: expected one of {', '.join(NORMALISERS)}"
            )
        if self.embed_dim % 4 or self.embed_dim % self.heads:
            raise ValueError(
                f"embed_dim is {self.embed_dim}: expected a multiple of 4 below 64, or of 32"
            )
        if self.queries % 2:
            raise ValueError(f"queries is {self.queries}: expected an even number")

    @property
    def heads(self) -> int:
        return max(self.embed_dim // 32, 1)


class MaskDecoder(nn.Module):
    """From refined readouts at stride 16 to mask logits at stride 4."""

    def __init__(self, channels: tuple[int, int], dims: tuple[int, int, int], sensory_dim: int):
        super().__init__()
        self.skip8 = nn.Conv2d(channels[0], dims[0], 1)
        self.skip4 = nn.Conv2d(channels[1], dims[1], 1)
        self.up8 = MaskUpsampling(dims[0], dims[1], skip_kernel=1)
        self.up4 = MaskUpsampling(dims[1], dims[2], skip_kernel=1)
        self.predict = conv3x3(dims[2], 1)
        self.sensory = DecoderSensoryUpdate(dims, sensory_dim, sensory_dim)

    def forward(
        self,
        readout: Tensor,
        skip8: Tensor,
        skip4: Tensor,
        sensory: Tensor,
        *,
        update_sensory: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Logits ``(B * N, 1, 4h, 4w)`` and the sensory memory, updated where asked."""
        g8 = self.up8(readout, skip8)
        g4 = self.up4(g8, skip4)
        logits = self.logits(g4)
        if update_sensory:
            sensory = self.sensory(readout, g8, g4, logits, sensory)
        return logits, sensory

    def logits(self, g4: Tensor) -> Tensor:
        return self.predict(F.relu(g4))


class SensoryHead(nn.Module):
    """Mask logits straight from the sensory memory, for a loss in training."""

    def __init__(self, sensory_dim: int, embed_dim: int):
        super().__init__()
        self.projection = nn.Conv2d(sensory_dim, embed_dim + 1, 1)

    def forward(self, pixels: Tensor, sensory: Tensor) -> Tensor:
        """``(B, N, h, w)`` from image features ``(B, P, h, w)`` and ``(B * N, S, h, w)``."""
        filters = self.projection(sensory).unflatten(0, (pixels.shape[0], -1))
        return (filters[:, :, :-1] * pixels[:, None]).sum(2) + filters[:, :, -1]


class ObjectNetwork(nn.Module):
    """The encoders, the object transformer and the mask decoder of Cutie and LiVOS."""

    decoder_type: type[MaskDecoder] = MaskDecoder

    def __init__(self, config: CutieConfig):
        super().__init__()
        self.config = config
        self.image_encoder = ResNet(config.image_depth, 3, width=config.image_width)
        channels4, channels8, channels16 = self.image_encoder.channels
        self.pixel_projection = nn.Conv2d(channels16, config.pixel_dim, 1)
        self.key_reduction = nn.Conv2d(channels16, config.pixel_dim, 1)
        self.mask_encoder = ResNet(config.mask_depth, 5, width=config.mask_width)
        self.value_fusion = SumFusion(
            config.pixel_dim, self.mask_encoder.channels[-1], config.value_dim
        )
        self.deep_sensory = SensoryUpdate(config.value_dim, config.sensory_dim)
        self.readout_sensory = nn.Conv2d(config.sensory_dim + 2, config.value_dim, 1)
        self.readout_fusion = SumFusion(config.pixel_dim, config.value_dim, config.embed_dim)
        self.object_transformer = ObjectTransformer(
            config.embed_dim,
            blocks=config.blocks,
            heads=config.heads,
            queries=config.queries,
            hidden=config.hidden,
        )
        self.object_summarizer = ObjectSummarizer(
            config.value_dim, config.embed_dim, config.queries
        )
        self.decoder = self.decoder_type(
            (channels8, channels4), (config.embed_dim, *config.decoder_dims), config.sensory_dim
        )
        self.sensory_head = SensoryHead(config.sensory_dim, config.embed_dim)

    def encode_masks(
        self,
        images: Tensor,
        pixels: Tensor,
        masks: Tensor,
        sensory: Tensor,
        *,
        deep_update: bool = True,
        chunk: int = -1,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a frame with known masks adds to the memories.

        images    ``(B, 3, H, W)`` RGB in [0, 1]
        pixels    ``(B, P, h, w)`` of `ImageFeatures`
        masks     ``(B, N, H, W)`` in [0, 1]
        sensory   ``(B * N, S, h, w)``
        chunk     objects per image that are worked on at once; -1: all

        Returns values ``(B * N, V, h, w)``, the sensory memory, updated where asked, and
        the object summaries ``(B, N, Q, C + 1)``.
        """
        batch, objects = masks.shape[:2]
        rest = others(masks, 1, clamp=True)
        pictures = normalise(images)[:, None]
        values, states = [], []
        for part in chunks(slice(0, objects), chunk):
            planes = torch.stack([masks[:, part], rest[:, part]], 2)
            seen = torch.cat([pictures.expand(-1, planes.shape[1], -1, -1, -1), planes], 2)
            value = self.value_fusion(pixels, self.mask_encoder(seen.flatten(0, 1))[-1])
            values.append(value.unflatten(0, (batch, -1)))
            if deep_update:
                state = sensory.unflatten(0, (batch, objects))[:, part].flatten(0, 1)
                states.append(self.deep_sensory(value, state).unflatten(0, (batch, -1)))
        value = torch.cat(values, 1).flatten(0, 1)
        if deep_update:
            sensory = torch.cat(states, 1).flatten(0, 1)
        small = area_downsample(masks, 16).flatten(0, 1)
        summaries = self.object_summarizer(small, value).unflatten(0, (batch, objects))
        return value, sensory, summaries

    def fuse(self, pixels: Tensor, readout: Tensor, sensory: Tensor, masks: Tensor) -> Tensor:
        """A memory readout, fused with the image: ``(B * N, C, h, w)``.

        pixels    ``(B, P, h, w)``
        readout   ``(B * N, V, h, w)``
        sensory   ``(B * N, S, h, w)``
        masks     ``(B, N, h, w)`` of the frame before, averaged down

        Objects that are handed over together influence each other.
        """
        planes = torch.stack([masks, others(masks, 1, clamp=True)], 2).flatten(0, 1)
        readout = readout + self.readout_sensory(torch.cat([sensory, planes], 1))
        return self.readout_fusion(pixels, readout)

    def refine(
        self, pixels: Tensor, readout: Tensor, sensory: Tensor, masks: Tensor, object_memory: Tensor
    ) -> Tensor:
        """The readout that `fuse` makes of its arguments, refined with the object memory
        ``(B, N, Q, C + 1)``."""
        fused = self.fuse(pixels, readout, sensory, masks)
        refined, _ = self.object_transformer(fused, object_memory)
        return refined

    def decode(
        self,
        skips: tuple[Tensor, Tensor],
        refined: Tensor,
        sensory: Tensor,
        *,
        update_sensory: bool = True,
        chunk: int = -1,
    ) -> tuple[Tensor, Tensor]:
        """Mask logits ``(B, N, 4h, 4w)`` and the sensory memory, updated where asked.

        skips   of `ImageFeatures`, at strides 8 and 4
        """
        batch = skips[0].shape[0]
        refined = refined.unflatten(0, (batch, -1))
        states = sensory.unflatten(0, (batch, -1))
        logits, updated = [], []
        for part in chunks(slice(0, refined.shape[1]), chunk):
            logit, state = self.decoder(
                refined[:, part].flatten(0, 1),
                *skips,
                states[:, part].flatten(0, 1),
                update_sensory=update_sensory,
            )
            logits.append(logit.view(batch, -1, *logit.shape[2:]))
            updated.append(state.unflatten(0, (batch, -1)))
        if update_sensory:
            sensory = torch.cat(updated, 1).flatten(0, 1)
        return torch.cat(logits, 1), sensory


OTHERS_PLANE = ("mask_encoder.conv1.weight", "readout_sensory.weight")
"""Convolutions whose last input channel is the plane of the other objects."""


def chunks(whole: slice, size: int) -> list[slice]:
    """The objects of a slice with both ends, in slices of at most ``size``; -1: one."""
    step = size if size > 0 else max(whole.stop - whole.start, 1)
    starts = range(whole.start, whole.stop, step)
    return [slice(start, min(start + step, whole.stop)) for start in starts]


def shared_config(state: Mapping[str, Tensor]) -> dict[str, object]:
    """The arguments of `CutieConfig` for a state dict in the project's names.

    Raises `KeyError` for an entry that is not there, `ValueError` for an unknown ResNet.
    """
    image = resnet_arguments(state, "image_encoder")
    mask = resnet_arguments(state, "mask_encoder")
    blocks = 0
    while f"object_transformer.blocks.{blocks}.read_pixels.inputs.weight" in state:
        blocks += 1
    values, sensory = state["readout_sensory.weight"].shape[:2]
    queries, embed = state["object_transformer.query_start"].shape
    return {
        "image_depth": image["depth"],
        "image_width": image["width"],
        "mask_depth": mask["depth"],
        "mask_width": mask["width"],
        "pixel_dim": state["pixel_projection.weight"].shape[0],
        "value_dim": values,
        "sensory_dim": sensory - 2,
        "embed_dim": embed,
        "decoder_dims": (
            state["decoder.up8.block.conv1.weight"].shape[0],
            state["decoder.up4.block.conv1.weight"].shape[0],
        ),
        "blocks": blocks,
        "queries": queries,
        "hidden": state["object_transformer.blocks.0.feed_forward.expand.weight"].shape[0],
    }
