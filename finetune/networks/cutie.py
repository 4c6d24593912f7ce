"""Cutie as a network to train: memory is frames, read by matching."""

from __future__ import annotations

from adapters.networks.cutie import NAMES, Cutie
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
from finetune.unroll.matching import read_memory, remembers


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
        readout, match = read_memory(network, now, memory, values, objects)
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
        if remembers(index, clips.length, options):
            value, sensory, more = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            summaries = summaries + more
            memory.append(now)
            values.append(append_mask(value, clips, index))
    return collect_predictions(clips, odds, aux, matched, [frame.key for frame in frames])


NETWORK = TrainableNetwork(
    config=CutieConfig,
    build=Cutie,
    load=lambda path, size: load_network(path, "cutie"),
    names=NAMES,
    unroll=unroll_cutie,
)
