"""What the unrolled networks share: their predictions, random choices, and the encoding of frames.

The first frame's masks are given; every later frame is segmented from what is remembered,
and its own prediction is fed back as its mask. All frames stay in memory, read as whole
frames without top-k. Padded objects have empty masks and take no part in aggregation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.networks.ops import aggregate, area_downsample
from finetune.data.batches import ClipBatch
from finetune.training_options import UnrollOptions


@dataclass(frozen=True)
class Predictions:
    """The input of the losses: predictions for the F predicted frames of B clips, at the frames'
    size.

    odds      ``(B, F, N + 1, H, W) float32`` exclusive log-odds, background first
    masks     ``(B, F, N, H, W)`` what is true
    valid     ``(B, F, N) bool``: the object is there to be predicted
    aux       logits ``(B, F, N, h, w)`` of auxiliary heads, at stride 16
    matched   ``(B, F, N, h, w)`` in [0, 1], or None: the true masks of the remembered frames,
              read as values are read, at stride 16
    query     ``(B, F, C, h, w)`` features at stride 16, or None
    memory    ``(B, C, h, w)`` the same of the first frame, or None
    given     ``(B, N, H, W)`` masks of the first frame, or None
    usage     ``(B, K)`` mean over frames and places of keys that are shares of K channels, or None
    iou       ``(B, F, N)`` the IoU that the network says its masks have, or None
    score     ``(B, F, N)`` logits of "the object is visible", or None
    weights   ``(B, F, N)`` in [0, 1]: how much each true mask counts, or None: all count fully
    """

    odds: Tensor
    masks: Tensor
    valid: Tensor
    aux: tuple[Tensor, ...] = ()
    matched: Tensor | None = None
    query: Tensor | None = None
    memory: Tensor | None = None
    given: Tensor | None = None
    usage: Tensor | None = None
    iou: Tensor | None = None
    score: Tensor | None = None
    weights: Tensor | None = None


@dataclass(frozen=True)
class UnrollInputs:
    """What is unrolled, and how.

    seed       seeds what is drawn for these clips
    matching   asks also for the masks that SAM 2's attention matches, which takes memory; other
               networks always give them
    """

    clips: ClipBatch
    options: UnrollOptions
    seed: int
    matching: bool = False

    def drawn(self, share: float) -> Tensor:
        """``(B, T - 1) bool``: true on this share of the later frames."""
        generator = torch.Generator().manual_seed(self.seed)
        clips = self.clips
        # Drawn for the clips of other workers before these as well, so that none draws as another.
        count = clips.first + len(clips.frames)
        chances = torch.rand(count, clips.length - 1, generator=generator)
        return (chances[clips.first :] < share).to(clips.frames.device)

    def kept(self) -> Tensor:
        """``(B, T - 1) bool``: the later frames before which nothing is forgotten."""
        return self.drawn(1 - self.options.forget)

    def deep_updates(self) -> list[bool]:
        """On which frames the mask encoder updates the sensory memory; always on the first."""
        # One draw for all clips, and so for all workers; a stream of its own, beside `drawn`.
        length = self.clips.length
        chances = np.random.default_rng([self.seed, length]).random(length)
        share = self.options.deep_update
        return [index == 0 or bool(chances[index] < share) for index in range(length)]


Unroll = Callable[[Any, UnrollInputs], Predictions]
"""Unrolls a network, or the `CheckpointedNetwork` that stands for it."""


def keep_where(kept: Tensor, maps: Tensor) -> Tensor:
    """Maps of B clips, or of their B * N objects; those of clips that are not ``kept`` (B) become
    blank."""
    return maps * kept.repeat_interleave(len(maps) // len(kept))[:, None, None, None]


def encode_frames(encode: Callable[[Tensor], Any], clips: ClipBatch) -> list[Any]:
    """The features of all frames, encoded in one batch, as one entry of B images per frame."""
    features = encode(clips.frames.transpose(0, 1).flatten(0, 1))
    parts = [part.unflatten(0, (clips.length, -1)) for part in features]
    return [type(features)(*(part[index] for part in parts)) for index in range(clips.length)]


def blank_sensory(like: Tensor, objects: Tensor, channels: int) -> Tensor:
    """``(B * N, channels, h, w)`` zeros at the size of ``like``."""
    return like.new_zeros(objects.numel(), channels, *like.shape[-2:])


def append_mask(value: Tensor, clips: ClipBatch, index: int) -> Tensor:
    """``(B * N, V + 1, h, w)``: the true masks of a frame as one more value."""
    small = area_downsample(clips.masks[:, index], 16).flatten(0, 1)
    return torch.cat([value, small[:, None].to(value.dtype)], 1)


def aggregate_valid(probabilities: Tensor, objects: Tensor) -> Tensor:
    """StepLog-odds ``(B, N + 1, H, W)``; padded objects have probability 0."""
    return aggregate(probabilities * objects[:, :, None, None], 1)


def collect_predictions(
    clips: ClipBatch, odds: list[Tensor], aux: Any, matched: list[Tensor], keys: list[Tensor]
) -> Predictions:
    """Predictions from the lists of the later frames; ``keys`` has the first frame as well."""
    heads = tuple(torch.stack(head, 1) for head in zip(*aux, strict=True))
    return Predictions(
        torch.stack(odds, 1),
        clips.masks[:, 1:],
        clips.valid[:, None].expand(-1, clips.length - 1, -1),
        heads,
        torch.stack(matched, 1),
        torch.stack(keys[1:], 1),
        keys[0],
        clips.masks[:, 0],
        weights=None if clips.weights is None else clips.weights[:, 1:],
    )
