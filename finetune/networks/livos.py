"""LiVOS as a network to train: memory is a matrix, read by a product."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.networks.linear_matching import LinearState
from adapters.networks.livos import NAMES, LiVOS
from adapters.networks.object_network import CutieConfig
from adapters.networks.ops import area_downsample, upsample
from adapters.weights.checkpoints import load_network
from finetune.trainable import TrainableNetwork
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


def unroll_livos(network: LiVOS, inputs: UnrollInputs) -> Predictions:
    """LiVOS: remembers every frame in a state of constant size; aggregates, then enlarges."""
    clips = inputs.clips
    frames, objects = encode_frames(network.encode_images, clips), clips.valid
    selector = objects[:, :, None, None]
    masks = clips.masks[:, 0]
    sensory = blank_sensory(frames[0].key, objects, network.config.sensory_dim)
    # Two more values are kept, the masks and 1: their ratio is a mean of masks. A regression has
    # one gate for all values, elsewhere they have none.
    config = network.config
    state = LinearState.empty(frames[0].key.float(), config.value_dim + 2, config.normaliser)
    state = state.extended(objects.shape[1])
    summaries: Tensor | None = None
    kept = inputs.kept()
    deep = inputs.deep_updates()
    odds, aux, matched = [], [], []
    for index, now in enumerate(frames):
        key = now.key.float()
        if summaries is not None:
            readout = state.read(key)
            small = keep_where(kept[:, index - 1], area_downsample(masks, 16))
            sensory = keep_where(kept[:, index - 1], sensory)
            share = readout[:, -2] / readout[:, -1].clamp(min=1e-6)
            # A regression may leave the range of what it is of.
            matched.append(share.clamp(0, 1).unflatten(0, objects.shape))
            fused = network.fuse(now.pixels, readout[:, :-2], sensory, small)
            refined, heads = network.object_transformer(fused, summaries, selector, last_head=True)
            logits, sensory = network.decode((now.skip8, now.skip4), refined, sensory)
            aux.append([*heads, network.sensory_head(now.pixels, sensory)])
            odds.append(upsample(aggregate_valid(logits.float().sigmoid(), objects), 4))
            masks = odds[-1].softmax(1)[:, 1:]
        if index < clips.length - 1:
            value, sensory, more = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            summaries = more if summaries is None else summaries + more
            stored = append_mask(value.float(), clips, index)
            stored = torch.cat([stored, torch.ones_like(stored[:, :1])], 1)
            gate = now.gate.float()
            if config.normaliser == "regression":
                gate = gate.mean(1, keepdim=True)
            else:
                gate = F.pad(gate, (0, 2), value=1.0)
            state = state.seen(key).written(key, stored, gate)
    predictions = collect_predictions(clips, odds, aux, matched, [frame.key for frame in frames])
    usage = torch.stack([frame.key.float().mean((2, 3)) for frame in frames]).mean(0)
    return replace(predictions, usage=usage)


NETWORK = TrainableNetwork(
    config=CutieConfig,
    build=LiVOS,
    load=lambda path, size: load_network(path, "livos"),
    names=NAMES,
    unroll=unroll_livos,
)
