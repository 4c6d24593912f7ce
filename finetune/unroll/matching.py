"""XMem and Cutie unrolled: memory is frames, read by matching."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adapters.networks.cutie import Cutie
from adapters.networks.ops import area_downsample, upsample
from adapters.networks.xmem import XMem
from finetune.training_options import UnrollOptions
from finetune.unroll.base import (
    Predictions,
    UnrollInputs,
    aggregate_valid,
    append_mask,
    blank_sensory,
    collect_predictions,
    encode_frames,
    keep_where,
)


def unroll_xmem(network: XMem, inputs: UnrollInputs) -> Predictions:
    """XMem: enlarges the logits of each object, then aggregates."""
    clips, options = inputs.clips, inputs.options
    frames, objects = encode_frames(network.encode_images, clips), clips.valid
    masks = clips.masks[:, 0]
    sensory = blank_sensory(frames[0].key, objects, network.config.sensory_dim)
    value, sensory = network.encode_masks(clips.frames[:, 0], frames[0].pixels, masks, sensory)
    memory, values, odds, matched = [frames[0]], [append_mask(value, clips, 0)], [], []
    kept = inputs.kept()
    deep = inputs.deep_updates()
    for index in range(1, clips.length):
        now = frames[index]
        sensory = keep_where(kept[:, index - 1], sensory)
        readout, match = _read(network, now, memory, values, objects)
        matched.append(match)
        logits, sensory = network.decode(now, readout, sensory)
        # XMem enlarges, then aggregates.
        odds.append(aggregate_valid(upsample(logits.float(), 4).sigmoid(), objects))
        if _remembers(index, clips.length, options):
            masks = odds[-1].softmax(1)[:, 1:]
            value, sensory = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            memory.append(now)
            values.append(append_mask(value, clips, index))
    return collect_predictions(clips, odds, (), matched, [frame.key for frame in frames])


def unroll_cutie(network: Cutie, inputs: UnrollInputs) -> Predictions:
    """Cutie: aggregates, then enlarges."""
    clips, options = inputs.clips, inputs.options
    frames, objects = encode_frames(network.encode_images, clips), clips.valid
    selector = objects[:, :, None, None]
    masks = clips.masks[:, 0]
    sensory = blank_sensory(frames[0].key, objects, network.config.sensory_dim)
    value, sensory, summaries = network.encode_masks(
        clips.frames[:, 0], frames[0].pixels, masks, sensory
    )
    memory, values = [frames[0]], [append_mask(value, clips, 0)]
    kept = inputs.kept()
    deep = inputs.deep_updates()
    odds, aux, matched = [], [], []
    for index in range(1, clips.length):
        now = frames[index]
        readout, match = _read(network, now, memory, values, objects)
        matched.append(match)
        small = keep_where(kept[:, index - 1], area_downsample(masks, 16))
        sensory = keep_where(kept[:, index - 1], sensory)
        fused = network.fuse(now.pixels, readout, sensory, small)
        refined, heads = network.object_transformer(fused, summaries, selector, last_head=True)
        logits, sensory = network.decode((now.skip8, now.skip4), refined, sensory)
        aux.append([*heads, network.sensory_head(now.pixels, sensory)])
        # Cutie and LiVOS aggregate, then enlarge.
        odds.append(upsample(aggregate_valid(logits.float().sigmoid(), objects), 4))
        masks = odds[-1].softmax(1)[:, 1:]
        if _remembers(index, clips.length, options):
            value, sensory, more = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            summaries = summaries + more
            memory.append(now)
            values.append(append_mask(value, clips, index))
    return collect_predictions(clips, odds, aux, matched, [frame.key for frame in frames])


def _read(
    network: XMem | Cutie, now: Any, memory: list[Any], values: list[Tensor], objects: Tensor
) -> tuple[Tensor, Tensor]:
    """The readout of T frames with values ``(B * N, V + 1, h, w)``, and of their last channel.

    In full precision: similarity is a difference of large products.
    """
    with torch.autocast(now.key.device.type, enabled=False):
        stored = torch.stack(values, 1).unflatten(0, objects.shape).float()
        mixed = network.read(_full(now), [_full(frame) for frame in memory], stored)
    return mixed[:, :-1], mixed[:, -1].unflatten(0, objects.shape)


def _full(features: Any) -> Any:
    names = ("key", "shrinkage", "selection")
    return features._replace(**{name: getattr(features, name).float() for name in names})


def _remembers(index: int, length: int, options: UnrollOptions) -> bool:
    return index % options.mem_every == 0 and index < length - 1
