"""SAM 2 unrolled over a training clip as at inference, differentiable through time.

The objects of all clips are one batch. The first frame's masks are given and encoded into
memory; every later frame is conditioned on the memory bank (the first frame for good, and the
most recent ones) and on object pointers, and its own prediction is remembered in turn. Losses see
the masks before the object score hides absent objects, because hidden masks have no gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from adapters.networks.ops import aggregate, normalise
from adapters.sam2.config import Sam2Config
from adapters.sam2.model import STOCK_BIAS, STOCK_SCALE
from adapters.sam2.package import sam2_module
from adapters.sam2.scaling import ABSENT_LOGIT
from finetune.data.batches import ClipBatch
from finetune.unroll.base import Predictions, UnrollInputs
from finetune.unroll.sam2_attention import read_masks, record_attention


@dataclass(frozen=True)
class MemoryFrame:
    """One frame in the memory of M objects.

    maps      ``(h * w, M, memory_dim)``
    pointer   ``(M, d_model)``
    truth     ``(M, h * w)`` what the masks should have been
    """

    maps: Tensor
    pointer: Tensor
    truth: Tensor


@dataclass(frozen=True)
class MaskPrediction:
    """Masks of M objects on a frame.

    logits    ``(M, 1, size / 4, size / 4) float32``, as if every object were visible
    hidden    the same, as inference has them: absent objects at -1024
    iou       ``(M,)`` predicted IoU of the mask
    score     ``(M, 1)`` object score
    pointer   ``(M, d_model)``
    """

    logits: Tensor
    hidden: Tensor
    iou: Tensor
    score: Tensor
    pointer: Tensor


def unroll_sam2(model: Any, inputs: UnrollInputs) -> Predictions:
    """Predictions for a batch of clips, see `finetune.unroll`."""
    if inputs.matching:
        for layer in model.get_submodule("memory_attention").layers:
            record_attention(layer.cross_attn_image)
    if inputs.clips.frames.device.type != "cpu":
        return _unroll(model, inputs)
    # On a CPU the fused attention's gradient is half of the whole step; this one is not.
    with sdpa_kernel(SDPBackend.MATH):
        return _unroll(model, inputs)


def _unroll(model: Any, inputs: UnrollInputs) -> Predictions:
    clips = inputs.clips
    owner = clips.valid.nonzero()[:, 0]
    coarse, position, fine = _encoded(model, clips.frames)
    given = clips.masks.transpose(1, 2)[clips.valid][:, 0]
    first = [part[0][owner] for part in (coarse, *fine)]
    mask = _given(model, first[0], first[1:], given[:, None])
    truth = _truth(clips, position)
    bank = [_remember(model, first[0], mask, truth[0])]
    frames: list[MaskPrediction] = []
    matched: list[Tensor] = []
    for index in range(1, clips.length):
        now = coarse[index][owner]
        sharp = [level[index][owner] for level in fine]
        read = _read(model, now, position, bank, inputs.options.video_frames or clips.length)
        if inputs.matching:
            shown = [bank[place].truth for place in _recalled(model.config, index)]
            matched.append(read_masks(model.get_submodule("memory_attention"), shown))
        mask = _decode(model, read, sharp)
        frames.append(mask)
        if index < clips.length - 1:
            bank.append(_remember(model, now, mask, truth[index]))
    height, width = clips.frames.shape[-2:]
    seen = [F.interpolate(level, (height // 16, width // 16), mode="area") for level in coarse]
    return _predictions(clips, frames, seen, matched)


def _encoded(model: Any, frames: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Features of ``(B, T, 3, H, W)`` frames, time first: coarse, its position, fine ones."""
    batch, length = frames.shape[:2]
    images = frames.transpose(0, 1).flatten(0, 1)
    side = (model.config.image_size,) * 2
    if images.shape[-2:] != side:
        images = F.interpolate(images, side, mode="bilinear", antialias=True)
    encoded = model.forward_image(normalise(images))
    *fine, coarse = (part.unflatten(0, (length, batch)) for part in encoded["backbone_fpn"])
    position = encoded["vision_pos_enc"][-1][:1].flatten(2).permute(2, 0, 1)
    return coarse, position, fine


def _truth(clips: ClipBatch, position: Tensor) -> list[Tensor]:
    """The true masks ``(M, h * w)`` of every frame, at stride 16."""
    masks = clips.masks.transpose(1, 2)[clips.valid]
    side = math.isqrt(len(position))
    small = F.interpolate(masks.float(), (side, side), mode="area")
    return list(small.flatten(2).unbind(1))


def _given(model: Any, coarse: Tensor, fine: list[Tensor], masks: Tensor) -> MaskPrediction:
    side = (model.config.image_size,) * 2
    if masks.shape[-2:] != side:
        masks = F.interpolate(masks, side, mode="bilinear", align_corners=False, antialias=True)
        masks = (masks >= 0.5).to(masks)
    _, _, iou, logits, _, pointer, score = model._use_mask_as_output(coarse, fine, masks)
    return MaskPrediction(logits, logits, iou[:, 0], score, pointer)


def _decode(model: Any, read: Tensor, fine: list[Tensor]) -> MaskPrediction:
    """The mask with the largest predicted IoU, as at inference."""
    count = len(read)
    prompts = model.sam_prompt_encoder
    points = torch.zeros(count, 1, 2, device=read.device)
    labels = -torch.ones(count, 1, dtype=torch.int32, device=read.device)
    sparse, dense = prompts(points=(points, labels), boxes=None, masks=None)
    masks, ious, tokens, score = model.sam_mask_decoder(
        image_embeddings=read,
        image_pe=prompts.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
        repeat_image=False,
        high_res_features=fine,
    )
    rows, best = torch.arange(count, device=read.device), ious.argmax(1)
    logits = masks[rows, best][:, None].float()
    visible = score > 0
    hidden = torch.where(visible[..., None, None], logits, ABSENT_LOGIT)
    pointer = model.obj_ptr_proj(tokens[rows, best])
    pointer = torch.where(visible, pointer, model.no_obj_ptr.to(pointer))
    return MaskPrediction(logits, hidden, ious[rows, best], score, pointer)


def _remember(model: Any, coarse: Tensor, mask: MaskPrediction, truth: Tensor) -> MemoryFrame:
    side = (model.config.image_size,) * 2
    full = F.interpolate(mask.hidden.float(), side, mode="bilinear", align_corners=False)
    scaled = full.sigmoid() * STOCK_SCALE + STOCK_BIAS
    encoder = model.memory_encoder
    encoded = encoder(coarse, scaled, skip_mask_sigmoid=True)["vision_features"]
    if model.no_obj_embed_spatial is not None:
        absent = (mask.score <= 0).to(encoded)
        encoded = encoded + (absent * model.no_obj_embed_spatial)[..., None, None]
    maps = encoded.flatten(2).permute(2, 0, 1).to(torch.bfloat16)
    return MemoryFrame(maps, mask.pointer, truth)


def _recalled(config: Sam2Config, now: int) -> list[int]:
    """Frames whose maps are read on frame ``now``: the first one, then the most recent ones."""
    return [0, *range(max(1, now - config.memory_frames + 1), now)]


def _read(
    model: Any, coarse: Tensor, position: Tensor, bank: list[MemoryFrame], length: int
) -> Tensor:
    """Features ``(M, d_model, h, w)`` of the frame after the last of ``bank``, conditioned on it.

    The learned temporal positions: the first frame has one of its own, the others one by age.
    """
    config: Sam2Config = model.config
    now, count, dim = len(bank), len(coarse), config.memory_dim
    split = config.d_model // dim
    first, *recent = _recalled(config, now)
    maps = [bank[index].maps for index in (first, *recent)]
    ages = [config.memory_frames, *(now - index for index in recent)]
    like = coarse.new_empty(1, dim, *coarse.shape[-2:])
    places = model.memory_encoder.position_encoding(like).flatten(2).permute(2, 0, 1)
    positions = [places + model.maskmem_tpos_enc[age - 1] for age in ages]

    recalled = [0, *reversed(range(max(1, now - config.pointers + 1), now))]
    pointers = torch.stack([bank[index].pointer for index in recalled])
    pointers = pointers.reshape(len(recalled), count, split, dim).transpose(1, 2).flatten(0, 1)
    times = pointers.new_zeros(len(pointers), 1, dim)
    if model.add_tpos_enc_to_obj_ptrs:
        distances = torch.tensor([now - index for index in recalled], device=coarse.device)
        relative = distances / (min(length, config.pointers) - 1)
        sine = sam2_module("modeling.sam2_utils").get_1d_sine_pe(relative, dim=config.d_model)
        times = model.obj_ptr_tpos_proj(sine).repeat_interleave(split, dim=0)[:, None]

    read = model.memory_attention(
        curr=coarse.flatten(2).permute(2, 0, 1),
        curr_pos=position.expand(-1, count, -1),
        memory=torch.cat([*maps, pointers]),
        memory_pos=torch.cat([*positions, times]).expand(-1, count, -1),
        num_obj_ptr_tokens=len(pointers),
    )
    return read.permute(1, 2, 0).reshape(coarse.shape)


def _predictions(
    clips: ClipBatch, frames: list[MaskPrediction], seen: list[Tensor], matched: list[Tensor]
) -> Predictions:
    size = clips.frames.shape[-2:]
    coarse = seen[0].shape[-2:]

    def spread(rows: list[Tensor]) -> Tensor:
        """``F`` times ``(M, ...)`` -> ``(B, F, N, ...)``, 0 for padded objects."""
        values = torch.stack(rows, 1).float()
        empty = values.new_zeros(*clips.valid.shape, *values.shape[1:])
        return empty.index_put((clips.valid,), values).transpose(1, 2)

    chances = [
        F.interpolate(mask.logits, size, mode="bilinear", align_corners=False)[:, 0].sigmoid()
        for mask in frames
    ]
    # The network sees a square; the loss sees masks of the clip's shape.
    square = [m.unflatten(1, (math.isqrt(m.shape[1]), -1))[:, None] for m in matched]
    read = [F.interpolate(m, coarse, mode="area")[:, 0] for m in square]
    return Predictions(
        odds=aggregate(spread(chances).flatten(0, 1), 1).unflatten(0, (-1, len(frames))),
        masks=clips.masks[:, 1:],
        valid=clips.valid[:, None].expand(-1, len(frames), -1),
        matched=spread(read) if read else None,
        query=torch.stack(seen[1:], 1),
        memory=seen[0],
        given=clips.masks[:, 0],
        iou=spread([mask.iou for mask in frames]),
        score=spread([mask.score[:, 0] for mask in frames]),
        weights=None if clips.weights is None else clips.weights[:, 1:],
    )
