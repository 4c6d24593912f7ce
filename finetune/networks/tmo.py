"""TMO as a network to train: frames by themselves, without memory."""

from __future__ import annotations

import torch

from adapters.networks.tmo import NAMES, TMO, TMOConfig, bicubic
from adapters.weights.checkpoints import load_network
from finetune.trainable import TrainableNetwork
from finetune.unroll.base import Predictions, UnrollInputs


def unroll_tmo(network: TMO, inputs: UnrollInputs) -> Predictions:
    """One foreground per frame: the union of all objects, from frame and flow picture."""
    clips = inputs.clips
    batch, _, _, height, width = clips.frames.shape
    images = clips.frames[:, 1:].flatten(0, 1)
    assert clips.pictures is not None
    pictures = clips.pictures[:, 1:].flatten(0, 1)
    still = inputs.drawn(inputs.options.rgb_share).flatten()[:, None, None, None]
    scores = network(images, torch.where(still, images, pictures)).float()
    # The softmax of (0, margin) is that of the two scores.
    margin = bicubic(scores[:, 1:] - scores[:, :1], (height, width))
    odds = torch.cat([torch.zeros_like(margin), margin], 1).unflatten(0, (batch, -1))
    union = clips.masks.amax(2, keepdim=True)[:, 1:]
    valid = torch.ones_like(union[..., 0, 0], dtype=torch.bool)
    weights = None
    if clips.weights is not None:
        there = clips.valid[:, None].float()
        weights = (clips.weights * there).sum(2, keepdim=True) / there.sum(2, keepdim=True)
        weights = weights[:, 1:]
    return Predictions(odds, union, valid, weights=weights)


NETWORK = TrainableNetwork(
    config=TMOConfig,
    build=TMO,
    load=lambda path, size: load_network(path, "tmo"),
    names=NAMES,
    unroll=unroll_tmo,
    multiple=32,
    pictures=True,
)
