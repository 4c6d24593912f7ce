"""XMem as a network to train: memory is frames, read by matching."""

from __future__ import annotations

from adapters.networks.ops import upsample
from adapters.networks.xmem import NAMES, XMem, XMemConfig
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
        readout, match = read_memory(network, now, memory, values, objects)
        matched.append(match)
        logits, sensory = network.decode(now, readout, sensory)
        # XMem enlarges, then aggregates.
        odds.append(aggregate_valid(upsample(logits.float(), 4).sigmoid(), objects))
        if remembers(index, clips.length, options):
            masks = odds[-1].softmax(1)[:, 1:]
            value, sensory = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            memory.append(now)
            values.append(append_mask(value, clips, index))
    return collect_predictions(clips, odds, (), matched, [frame.key for frame in frames])


NETWORK = TrainableNetwork(
    config=XMemConfig,
    build=XMem,
    load=lambda path, size: load_network(path, "xmem"),
    names=NAMES,
    unroll=unroll_xmem,
)
