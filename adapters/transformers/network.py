"""SAM 3's tracker and SAM 2 of package ``transformers``, as functions of tensors.

The package follows a video in a session that keeps every frame and every answer. Here its modules
are used step by step, so that memory is that of `adapters.sam2.memories` and does not grow, and all
objects of a frame are in one batch.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.sam2.memories.record import Proposal
from adapters.sam2.network import Network, step
from adapters.sam2.steps import Features, MaskBatch, MemoryParts

HALF = (0.5, 0.5, 0.5)
"""Mean and deviation of pixels for SAM 3; SAM 2 has those of ImageNet."""


@dataclass(frozen=True)
class TransformersConfig:
    """What the steps need to know of a network.

    image_size      side of the square at which it works
    patch_size      pixels per side of a token
    d_model         channels of image features, object pointers and mask decoder
    memory_dim      channels of memory features
    memory_frames   frames in memory, the one with the given mask included
    pointers        object pointers in memory, at most
    sigmoid_scale   masks enter memory multiplied by it
    sigmoid_bias    added to them
    half            pixels are normalised by one half, not as ImageNet
    """

    image_size: int
    patch_size: int
    d_model: int
    memory_dim: int
    memory_frames: int
    pointers: int
    sigmoid_scale: float
    sigmoid_bias: float
    half: bool

    @classmethod
    def of(cls, model: Any) -> TransformersConfig:
        """Of a ``Sam3TrackerVideoModel`` or ``Sam2VideoModel``."""
        config = model.config
        return cls(
            image_size=model.image_size,
            patch_size=config.prompt_encoder_config.patch_size,
            d_model=model.hidden_dim,
            memory_dim=model.mem_dim,
            memory_frames=model.num_maskmem,
            pointers=config.max_object_pointers_in_encoder,
            sigmoid_scale=config.sigmoid_scale_for_mem_enc,
            sigmoid_bias=config.sigmoid_bias_for_mem_enc,
            half=config.model_type.startswith("sam3"),
        )


class TransformersNetwork(Network):
    """The four steps on a model of ``transformers``."""

    @cached_property
    def parts(self) -> MemoryParts:
        model = self.model
        timed = model.config.enable_temporal_pos_encoding_for_object_pointers
        return MemoryParts(
            ages=model.memory_temporal_positional_encoding,
            pointer_head=model.object_pointer_proj,
            absent_pointer=model.no_object_pointer,
            absent_map=model.occlusion_spatial_embedding_parameter,
            distance_head=model.temporal_positional_encoding_projection_layer if timed else None,
        )

    @property
    def mask_side(self) -> int:
        return 4 * self.config.image_size // self.config.patch_size

    @step
    def encode(self, frame: np.ndarray) -> Features:
        """Image features of a frame ``(H, W, 3) uint8`` RGB of any size."""
        encoded = self.model.get_image_features(self._pixels(frame), return_dict=True)
        sides = self.model.backbone_feature_sizes
        *fine, coarse = (
            tokens.permute(1, 2, 0).reshape(1, -1, *side)
            for tokens, side in zip(encoded.fpn_hidden_states, sides, strict=True)
        )
        return Features(coarse, encoded.fpn_position_encoding[-1], fine)

    @step
    def given(self, features: Features, masks: np.ndarray) -> MaskBatch:
        """Take given masks ``(B, H, W) bool`` of the video's size as they are.

        The package makes them binary on their way into memory.
        """
        prompts = self._prompts(masks)
        answers = [
            self.model._use_mask_as_output(features.coarse, features.fine, prompt)
            for prompt in prompts.split(1)
        ]
        full = self._at_memory_size(prompts * 20.0 - 10.0)
        return MaskBatch(
            logits=torch.cat([answer.pred_masks for answer in answers]),
            score=torch.cat([answer.object_score_logits.reshape(1, 1) for answer in answers]),
            iou=torch.ones(len(prompts), device=prompts.device),
            pointer=torch.cat([answer.object_pointer.reshape(1, -1) for answer in answers]),
            full=torch.where(full > 0, torch.inf, -torch.inf),
        )

    def _attended(
        self, features: Features, memory: Tensor, position: Tensor, pointer_tokens: int
    ) -> Tensor:
        batch = len(memory)
        tokens = features.coarse.flatten(2).permute(2, 0, 1)
        read = self.model.memory_attention(
            current_vision_features=tokens.expand(-1, batch, -1),
            current_vision_position_embeddings=features.position.expand(-1, batch, -1),
            memory=memory.transpose(0, 1),
            memory_posision_embeddings=position.transpose(0, 1),  # the package's spelling
            num_object_pointer_tokens=pointer_tokens,
            **self._counts(memory, pointer_tokens),
        )
        return (
            read.reshape(batch, tokens.shape[0], -1)
            .transpose(1, 2)
            .reshape(batch, -1, *features.coarse.shape[2:])
        )

    def _counts(self, memory: Tensor, pointer_tokens: int) -> dict[str, int]:
        """What else the package's attention has to be told of its ``(B, K, C)`` memory."""
        return {}

    def _decoded(
        self, conditioned: Tensor, fine: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch = len(conditioned)
        nowhere = torch.zeros(batch, 1, 1, 2, dtype=conditioned.dtype, device=self._device)
        unused = -torch.ones(batch, 1, 1, dtype=torch.int32, device=self._device)
        sparse, dense = self.model.prompt_encoder(nowhere, unused, None, None)
        masks, ious, tokens, score = self.model.mask_decoder(
            image_embeddings=conditioned,
            image_positional_embeddings=self._image_positions.repeat(batch, 1, 1, 1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=[level.expand(batch, -1, -1, -1) for level in fine],
        )
        return masks[:, 0].float(), ious[:, 0], score[:, 0], tokens[:, 0]

    def _enlarged(self, pairs: Sequence[tuple[Proposal, int]]) -> Tensor:
        return self._at_memory_size(super()._enlarged(pairs))

    def _at_memory_size(self, masks: Tensor) -> Tensor:
        """Masks ``(B, 1, h, w)`` at the size that the memory encoder is used to."""
        size = (4 * self.mask_side,) * 2
        if masks.shape[-2:] == size:
            return masks
        return F.interpolate(
            masks.float(), size=size, mode="bilinear", align_corners=False, antialias=True
        )

    def _remembered(self, features: Tensor, masks: Tensor) -> Tensor:
        return self.model.memory_encoder(features, masks)[0]

    def _sine(self, distances: Tensor) -> Tensor:
        module = importlib.import_module(type(self.model).__module__)
        return module.get_1d_sine_pe(distances, dim=self.config.d_model)

    @cached_property
    def _image_positions(self) -> Tensor:
        return self.model.get_image_wide_positional_embeddings()

    @cached_property
    def _places(self) -> Tensor:
        side = self.config.image_size // self.config.patch_size
        shape = torch.Size((1, self.config.memory_dim, side, side))
        like = self.parts.ages
        encoding = self.model.memory_encoder.position_encoding(shape, like.device, like.dtype)
        return encoding.flatten(2).transpose(1, 2)

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        if not self.config.half:
            return super()._normalisation
        half = torch.tensor(HALF, device=self._device)[:, None, None]
        return half, half

    def _make_lean(self) -> None:
        """Nothing is left to save."""
