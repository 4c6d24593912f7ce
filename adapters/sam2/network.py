"""A SAM 2 network on a device, as functions of tensors: nothing is remembered here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from adapters.sam2.lean import make_lean
from adapters.sam2.memories.record import Proposal, View
from adapters.sam2.model import uncompile
from adapters.sam2.package import sam2_module
from adapters.sam2.steps import Features, MaskBatch, MemoryParts, proposals_of
from adapters.shared.testtime import autocast

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

GPU_BATCH = 16
CPU_TOKENS = 2048
"""Tokens of image features in one batch: 8 objects at 256 pixels, 2 at 512, and from 736 on 1,
which alone keeps the cores busy; more would only cost memory."""

Method = TypeVar("Method", bound=Callable[..., Any])


def step(method: Method) -> Method:
    """Without gradients, in the network's precision; once more uncompiled if compiled fails."""

    @wraps(method)
    def run(self: Network, *arguments: Any) -> Any:
        try:
            with torch.inference_mode(), self.precision():
                return method(self, *arguments)
        except Exception as error:
            if not self.optimised or isinstance(error, torch.OutOfMemoryError):
                raise
            self._uncompile(error)
            return run(self, *arguments)

    return run  # type: ignore[return-value]


class Network:
    """The four steps of SAM 2 on a frame.

    model       from `adapters.sam2.model.load`, moved to ``device``
    config      its `Sam2Config`; networks of other packages have one of their own
    amp         "off", "bf16" or "fp16"
    optimised   whether its parts are compiled; where that fails they run uncompiled, and
                ``notes`` gets a sentence about it
    """

    def __init__(
        self,
        model: nn.Module,
        config: Any,
        *,
        device: str = "cpu",
        amp: str = "off",
        optimised: bool = False,
        notes: list[str] | None = None,
    ):
        self.model: Any = model.to(device)
        self.config: Any = config
        self.optimised = optimised
        self._device, self._amp = device, amp
        self._on_gpu = not device.startswith("cpu")
        self._notes = notes if notes is not None else []
        if not optimised:
            self._make_lean()

    @cached_property
    def parts(self) -> MemoryParts:
        model = self.model
        return MemoryParts(
            ages=model.maskmem_tpos_enc,
            pointer_head=model.obj_ptr_proj,
            absent_pointer=model.no_obj_ptr,
            absent_map=model.no_obj_embed_spatial,
            distance_head=model.obj_ptr_tpos_proj if model.add_tpos_enc_to_obj_ptrs else None,
        )

    @property
    def mask_side(self) -> int:
        """Side of the masks that it gives."""
        return self.config.image_size // 4

    @property
    def batch(self) -> int:
        """The best number of objects in one batch: enough to fill a GPU, or a CPU's caches."""
        tokens = (self.config.image_size // 16) ** 2
        return GPU_BATCH if self._on_gpu else max(1, CPU_TOKENS // tokens)

    def precision(self) -> AbstractContextManager[Any]:
        return autocast(self._device, self._amp)

    def _make_lean(self) -> None:
        with torch.inference_mode(), self.precision():
            make_lean(self.model, self.config.image_size)

    def _uncompile(self, error: Exception) -> None:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        self._notes.append(f"torch.compile failed and the network runs uncompiled: {reason}")
        self.optimised = False
        uncompile(self.model)

    @step
    def encode(self, frame: np.ndarray) -> Features:
        """Image features of a frame ``(H, W, 3) uint8`` RGB of any size."""
        encoded = self.model.forward_image(self._pixels(frame))
        *fine, coarse = encoded["backbone_fpn"]
        position = encoded["vision_pos_enc"][-1].flatten(2).permute(2, 0, 1)
        # Kept as a view of its tokens: convolutions choose their kernel, and so the last bit
        # of their sums, by the strides, and the package's maps have these.
        tokens = coarse.flatten(2).permute(2, 0, 1)
        return Features(tokens.permute(1, 2, 0).view(coarse.shape), position, fine)

    @step
    def given(self, features: Features, masks: np.ndarray) -> MaskBatch:
        """Take given masks ``(B, H, W) bool`` of the video's size as they are."""
        prompts = self._prompts(masks)
        rows = [
            self.model._use_mask_as_output(features.coarse, features.fine, prompt)
            for prompt in prompts.split(1)
        ]
        _, _, iou, logits, _, pointer, score = (torch.cat(p) for p in zip(*rows, strict=True))
        return MaskBatch(logits, score, iou[:, 0], pointer)

    @step
    def boxed(self, features: Features, boxes: np.ndarray) -> Tensor:
        """The logits ``(N, 1, size / 4, size / 4) float32`` of the objects in boxes.

        boxes   ``(N, 4) float32``: left, top, right and bottom at the working size

        As the package's ``add_new_points_or_box`` has it: a box is two corner points, labelled
        2 and 3, on a frame without memory, and of the decoder's masks the single one is taken.
        """
        corners = self._moved(torch.from_numpy(boxes)).reshape(-1, 2, 2)
        labels = torch.tensor([[2, 3]], dtype=torch.int32, device=self._device)
        rows = [
            self.model._forward_sam_heads(
                backbone_features=features.coarse + self.model.no_mem_embed.reshape(1, -1, 1, 1),
                point_inputs={"point_coords": corner[None], "point_labels": labels},
                high_res_features=features.fine,
                multimask_output=False,
            )[3]
            for corner in corners
        ]
        return torch.cat(rows)

    @step
    def follow(self, features: Features, views: Sequence[View], length: int) -> list[Proposal]:
        """The masks proposed for objects with the memories ``views``, which must be of one shape.

        ``length`` is the number of frames of the video: in videos shorter than the number of
        pointers the network measures distances by it.
        """
        conditioned = self._attended(features, *self._memory(views, length))
        parts = conditioned.split(self._rows(len(views)))
        decoded = [self._decoded(part, features.fine) for part in parts]
        return proposals_of(*(torch.cat(part) for part in zip(*decoded, strict=True)))

    def _attended(
        self, features: Features, memory: Tensor, position: Tensor, pointer_tokens: int
    ) -> Tensor:
        """``(B, d_model, h, w)``: features that have read memory ``(B, tokens, memory_dim)``."""
        batch, channels = len(memory), self.config.d_model
        tokens = features.coarse.flatten(2).permute(2, 0, 1)
        conditioned = self.model.memory_attention(
            curr=tokens.expand(-1, batch, -1),
            curr_pos=features.position.expand(-1, batch, -1),
            memory=memory.transpose(0, 1),
            memory_pos=position.transpose(0, 1),
            num_obj_ptr_tokens=pointer_tokens,
        )
        conditioned = conditioned.permute(1, 2, 0)
        return conditioned.reshape(batch, channels, *features.coarse.shape[2:])

    def _decoded(
        self, conditioned: Tensor, fine: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Three masks ``(B, 3, h, w)`` of each object, their predicted IoU ``(B, 3)``, object
        scores ``(B, 1)`` and tokens ``(B, 3, d_model)``."""
        batch, prompts = len(conditioned), self.model.sam_prompt_encoder
        # A compiled function's answer lies where its next one will.
        own = torch.clone if self.optimised else torch.as_tensor
        nowhere = torch.zeros(batch, 1, 2, device=self._device)
        unused = -torch.ones(batch, 1, dtype=torch.int32, device=self._device)
        sparse, dense = prompts(points=(nowhere, unused), boxes=None, masks=None)
        masks, ious, tokens, score = self.model.sam_mask_decoder(
            image_embeddings=conditioned,
            image_pe=own(prompts.get_dense_pe()),
            sparse_prompt_embeddings=own(sparse),
            dense_prompt_embeddings=own(dense),
            multimask_output=True,
            repeat_image=False,
            high_res_features=[level.expand(batch, -1, -1, -1) for level in fine],
        )
        return own(masks).float(), own(ious), own(score), own(tokens)

    @step
    def take(self, proposals: Sequence[Proposal], chosen: Sequence[int]) -> MaskBatch:
        """One mask of each proposal, with the pointer to it."""
        pairs = list(zip(proposals, chosen, strict=True))
        tokens = torch.stack([proposal.tokens[mask] for proposal, mask in pairs])
        logits = torch.stack([proposal.logits[mask] for proposal, mask in pairs])
        numbers = torch.tensor([[p.score, p.ious[mask]] for p, mask in pairs], device=self._device)
        score, iou = numbers[:, :1], numbers[:, 1]
        pointer = torch.cat(
            [self.parts.pointer_head(part) for part in tokens.split(self._rows(len(tokens)))]
        )
        there = (score > 0).float()
        pointer = there * pointer + (1 - there) * self.parts.absent_pointer
        return MaskBatch(logits[:, None], score, iou, pointer, self._enlarged(pairs))

    def _enlarged(self, pairs: Sequence[tuple[Proposal, int]]) -> Tensor:
        """``(B, 1, size, size)``: one mask of each proposal.

        All of a proposal are enlarged, as in the package: one alone is rounded otherwise.
        """
        size = (self.config.image_size,) * 2
        planes = torch.stack([proposal.logits for proposal, _ in pairs])
        full = F.interpolate(planes, size=size, mode="bilinear", align_corners=False)
        return full[torch.arange(len(pairs)), [mask for _, mask in pairs]][:, None]

    @step
    def memorise(self, features: Features, masks: MaskBatch, scale: Tensor, bias: Tensor) -> Tensor:
        """Memory features ``(B, tokens, memory_dim)`` of masks on a frame.

        scale, bias   ``(B,)`` of the mask probabilities on their way into memory
        """
        full = masks.full
        if full is None:
            size = (self.config.image_size,) * 2
            full = F.interpolate(masks.logits, size=size, mode="bilinear", align_corners=False)
        scaled = torch.sigmoid(full) * scale[:, None, None, None] + bias[:, None, None, None]
        encoded = torch.cat(
            [
                self._remembered(features.coarse, row)
                for row in scaled.split(self._rows(len(scaled)))
            ]
        )
        if self.parts.absent_map is not None:
            absent = (masks.score <= 0).to(encoded.dtype)
            encoded = encoded + (absent * self.parts.absent_map)[..., None, None]
        return self._stored(encoded)

    def _stored(self, encoded: Tensor) -> Tensor:
        """Memory features ``(B, memory_dim, h, w)`` in the form in which they are kept."""
        # The package stores them so, on every device.
        return encoded.flatten(2).transpose(1, 2).to(torch.bfloat16)

    def _remembered(self, features: Tensor, masks: Tensor) -> Tensor:
        """``(B, memory_dim, h, w)`` of masks ``(B, 1, size, size)``, scaled."""
        encoder = self.model.memory_encoder
        return encoder(features, masks, skip_mask_sigmoid=True)["vision_features"]

    def _rows(self, batch: int) -> int:
        """Objects that the decoder and the memory encoder take at once.

        On a CPU one: their small products and convolutions would round differently in a batch,
        and rounding memory to bfloat16 can blow a last bit up. Memory attention, most of the
        work, does not: so every bit is that of an object followed alone.
        """
        return batch if self._on_gpu else 1

    def _pixels(self, frame: np.ndarray) -> Tensor:
        """``(1, 3, size, size) float32``: a square, whatever the aspect, as SAM 2 has it."""
        size = self.config.image_size
        square = torch.from_numpy(np.array(Image.fromarray(frame).resize((size, size))))
        pixels = self._moved(square).permute(2, 0, 1).contiguous().float()
        mean, std = self._normalisation
        return pixels.div_(255).sub_(mean).div_(std)[None]

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        return mean[:, None, None].to(self._device), std[:, None, None].to(self._device)

    def _moved(self, array: Tensor) -> Tensor:
        """To the device, without waiting for it where the device can read pinned memory."""
        if self._device.startswith("cuda"):
            return array.pin_memory().to(self._device, non_blocking=True)
        return array.to(self._device)

    def _prompts(self, masks: np.ndarray) -> Tensor:
        """``(B, 1, size, size)`` of 0 and 1.

        A mask so small that nothing of it reaches one half keeps its largest pixels: the
        package loses the object instead.
        """
        size = self.config.image_size
        prompts = self._moved(torch.from_numpy(masks))[:, None].float()
        if prompts.shape[2:] == (size, size):
            return prompts
        prompts = F.interpolate(
            prompts, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
        peak = prompts.amax(dim=(2, 3), keepdim=True)
        return ((prompts >= 0.5) | ((peak < 0.5) & (peak > 0) & (prompts == peak))).float()

    def _memory(self, views: Sequence[View], length: int) -> tuple[Tensor, Tensor, int]:
        """Memory ``(B, tokens, memory_dim)``, its positions, and how many are of pointers.

        Positions are a sum of place and time: of feature maps the learned one of their age
        (conditioning frames have one of their own), of pointers the projected sine of their
        distance.
        """
        config = self.config
        batch, dim = len(views), config.memory_dim
        first = views[0]
        maps = torch.stack([torch.cat([m.features for m in view.moments]) for view in views])
        ages = [config.memory_frames] * (len(first.moments) - len(first.ages)) + list(first.ages)
        time = self.parts.ages[[age - 1 for age in ages]].reshape(len(ages), 1, dim)
        places = (self._places + time).reshape(1, -1, dim).expand(batch, -1, -1)

        pointers = torch.stack([torch.stack(view.pointers) for view in views])
        tokens = pointers.shape[1] * (config.d_model // dim)
        times = torch.stack([self._times(view.distances, length) for view in views])
        memory = torch.cat([maps, pointers.reshape(batch, tokens, dim)], dim=1)
        return memory, torch.cat([places, times], dim=1), tokens

    def _times(self, distances: Sequence[int], length: int) -> Tensor:
        """``(tokens, memory_dim)``: positions of object pointers this many frames back.

        For one object at a time, as the package does: in a batch the sums round differently.
        """
        config, split = self.config, self.config.d_model // self.config.memory_dim
        if self.parts.distance_head is None:
            return torch.zeros(len(distances) * split, config.memory_dim, device=self._device)
        relative = torch.tensor(distances, device=self._device)
        relative = relative / (min(length, config.pointers) - 1)
        return self.parts.distance_head(self._sine(relative)).repeat_interleave(split, dim=0)

    def _sine(self, distances: Tensor) -> Tensor:
        """``(N, d_model)`` of N distances."""
        return sam2_module("modeling.sam2_utils").get_1d_sine_pe(distances, dim=self.config.d_model)

    @cached_property
    def _places(self) -> Tensor:
        """``(1, h * w, memory_dim)``: positional encoding of a memory feature map."""
        side = self.config.image_size // 16
        like = torch.empty(1, self.config.memory_dim, side, side, device=self._device)
        return self.model.memory_encoder.position_encoding(like).flatten(2).transpose(1, 2)
