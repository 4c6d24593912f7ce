"""A network unrolled over a training clip as at inference, differentiable through time.

The first frame's masks are given; every later frame is segmented from what is remembered,
and its own prediction is fed back as its mask. All frames stay in memory, read as whole
frames without top-k. Padded objects have empty masks and take no part in aggregation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adapters.networks.cutie import Cutie
from adapters.networks.linear_matching import LinearState
from adapters.networks.livos import LiVOS
from adapters.networks.ops import aggregate, area_downsample, upsample
from adapters.networks.tmo import TMO, bicubic
from adapters.networks.xmem import XMem
from finetune.clips import ClipBatch
from finetune.rerun import Rerun
from finetune.training_options import UnrollOptions

Encode = Callable[[Tensor], Any]


@dataclass(frozen=True)
class Predictions:
    """What losses need, of the F predicted frames of B clips, at the frames' size.

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


def unroll(
    network: nn.Module,
    clips: ClipBatch,
    options: UnrollOptions,
    seed: int,
    matching: bool = False,
) -> Predictions:
    """Predictions of a network for a batch of clips.

    seed       of what is drawn
    matching   also what SAM 2's attention matches, which takes memory; the others always tell
    """
    steps: Any = Rerun(network) if options.checkpointing else network
    if isinstance(network, XMem):
        return _xmem(steps, clips, options, seed)
    if isinstance(network, Cutie):
        return _cutie(steps, clips, options, seed)
    if isinstance(network, LiVOS):
        return _livos(steps, clips, options, seed)
    if isinstance(network, TMO):
        return _tmo(steps, clips, options, seed)
    from finetune.sam2 import unroll_sam2

    return unroll_sam2(steps, clips, options, matching)


def _xmem(network: XMem, clips: ClipBatch, options: UnrollOptions, seed: int) -> Predictions:
    frames, objects = _encoded(network.encode_images, clips), clips.valid
    masks = clips.masks[:, 0]
    sensory = _blank(frames[0].key, objects, network.config.sensory_dim)
    value, sensory = network.encode_masks(clips.frames[:, 0], frames[0].pixels, masks, sensory)
    memory, values, odds, matched = [frames[0]], [_with_mask(value, clips, 0)], [], []
    kept = _drawn(1 - options.forget, clips, seed)
    deep = _deep_updates(options, clips.length, seed)
    for index in range(1, clips.length):
        now = frames[index]
        sensory = _where(kept[:, index - 1], sensory)
        readout, match = _read(network, now, memory, values, objects)
        matched.append(match)
        logits, sensory = network.decode(now, readout, sensory)
        # XMem enlarges, then aggregates.
        odds.append(_aggregate(upsample(logits.float(), 4).sigmoid(), objects))
        if _remembers(index, clips.length, options):
            masks = odds[-1].softmax(1)[:, 1:]
            value, sensory = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            memory.append(now)
            values.append(_with_mask(value, clips, index))
    return _predictions(clips, odds, (), matched, [frame.key for frame in frames])


def _cutie(network: Cutie, clips: ClipBatch, options: UnrollOptions, seed: int) -> Predictions:
    frames, objects = _encoded(network.encode_images, clips), clips.valid
    selector = objects[:, :, None, None]
    masks = clips.masks[:, 0]
    sensory = _blank(frames[0].key, objects, network.config.sensory_dim)
    value, sensory, summaries = network.encode_masks(
        clips.frames[:, 0], frames[0].pixels, masks, sensory
    )
    memory, values = [frames[0]], [_with_mask(value, clips, 0)]
    kept = _drawn(1 - options.forget, clips, seed)
    deep = _deep_updates(options, clips.length, seed)
    odds, aux, matched = [], [], []
    for index in range(1, clips.length):
        now = frames[index]
        readout, match = _read(network, now, memory, values, objects)
        matched.append(match)
        small = _where(kept[:, index - 1], area_downsample(masks, 16))
        sensory = _where(kept[:, index - 1], sensory)
        refined, heads = network.refine(
            now.pixels, readout, sensory, small, summaries, selector, last_head=True
        )
        logits, sensory = network.decode((now.skip8, now.skip4), refined, sensory)
        aux.append([*heads, network.sensory_head(now.pixels, sensory)])
        # Cutie and LiVOS aggregate, then enlarge.
        odds.append(upsample(_aggregate(logits.float().sigmoid(), objects), 4))
        masks = odds[-1].softmax(1)[:, 1:]
        if _remembers(index, clips.length, options):
            value, sensory, more = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            summaries = summaries + more
            memory.append(now)
            values.append(_with_mask(value, clips, index))
    return _predictions(clips, odds, aux, matched, [frame.key for frame in frames])


def _livos(network: LiVOS, clips: ClipBatch, options: UnrollOptions, seed: int) -> Predictions:
    frames, objects = _encoded(network.encode_images, clips), clips.valid
    selector = objects[:, :, None, None]
    masks = clips.masks[:, 0]
    sensory = _blank(frames[0].key, objects, network.config.sensory_dim)
    # Two more values are kept, the masks and 1: their ratio is a mean of masks. A regression has
    # one gate for all values, elsewhere they have none.
    config = network.config
    state = LinearState.empty(frames[0].key.float(), config.value_dim + 2, config.normaliser)
    state = state.extended(objects.shape[1])
    summaries: Tensor | None = None
    kept = _drawn(1 - options.forget, clips, seed)
    deep = _deep_updates(options, clips.length, seed)
    odds, aux, matched = [], [], []
    for index, now in enumerate(frames):
        key = now.key.float()
        if summaries is not None:
            readout = state.read(key)
            small = _where(kept[:, index - 1], area_downsample(masks, 16))
            sensory = _where(kept[:, index - 1], sensory)
            share = readout[:, -2] / readout[:, -1].clamp(min=1e-6)
            # A regression may leave the range of what it is of.
            matched.append(share.clamp(0, 1).unflatten(0, objects.shape))
            refined, heads = network.refine(
                now.pixels,
                readout[:, :-2],
                sensory,
                small,
                summaries,
                selector,
                last_head=True,
            )
            logits, sensory = network.decode((now.skip8, now.skip4), refined, sensory)
            aux.append([*heads, network.sensory_head(now.pixels, sensory)])
            odds.append(upsample(_aggregate(logits.float().sigmoid(), objects), 4))
            masks = odds[-1].softmax(1)[:, 1:]
        if index < clips.length - 1:
            value, sensory, more = network.encode_masks(
                clips.frames[:, index], now.pixels, masks, sensory, deep_update=deep[index]
            )
            summaries = more if summaries is None else summaries + more
            stored = _with_mask(value.float(), clips, index)
            stored = torch.cat([stored, torch.ones_like(stored[:, :1])], 1)
            gate = now.gate.float()
            if config.normaliser == "regression":
                gate = gate.mean(1, keepdim=True)
            else:
                gate = F.pad(gate, (0, 2), value=1.0)
            state = state.seen(key).written(key, stored, gate)
    found = _predictions(clips, odds, aux, matched, [frame.key for frame in frames])
    usage = torch.stack([frame.key.float().mean((2, 3)) for frame in frames]).mean(0)
    return replace(found, usage=usage)


def _tmo(network: TMO, clips: ClipBatch, options: UnrollOptions, seed: int) -> Predictions:
    """One foreground per frame: the union of all objects, from frame and flow picture."""
    batch, _, _, height, width = clips.frames.shape
    images = clips.frames[:, 1:].flatten(0, 1)
    assert clips.pictures is not None
    pictures = clips.pictures[:, 1:].flatten(0, 1)
    still = _drawn(options.rgb_share, clips, seed).flatten()[:, None, None, None]
    scores = network(images, torch.where(still, images, pictures)).float()
    # The softmax of (0, margin) is that of the two scores.
    margin = bicubic(scores[:, 1:] - scores[:, :1], (height, width))
    odds = torch.cat([torch.zeros_like(margin), margin], 1).unflatten(0, (batch, -1))
    union = clips.masks.amax(2, keepdim=True)[:, 1:]
    valid = torch.ones_like(union[..., 0, 0], dtype=torch.bool)
    return Predictions(odds, union, valid)


def _drawn(share: float, clips: ClipBatch, seed: int) -> Tensor:
    """``(B, F) bool``: of the later frames, this share."""
    generator = torch.Generator().manual_seed(seed)
    # Drawn for the clips of other workers before these as well, so that none draws as another.
    chances = torch.rand(clips.first + len(clips.frames), clips.length - 1, generator=generator)
    return (chances[clips.first :] < share).to(clips.frames.device)


def _deep_updates(options: UnrollOptions, length: int, seed: int) -> list[bool]:
    """On which frames the mask encoder updates the sensory memory; always on the first."""
    # One draw for all clips, and so for all workers; a stream of its own, beside `_drawn`.
    chances = np.random.default_rng([seed, length]).random(length)
    return [index == 0 or bool(chances[index] < options.deep_update) for index in range(length)]


def _where(kept: Tensor, maps: Tensor) -> Tensor:
    """Maps of B clips, or of their B * N objects, with those blank that are not ``kept`` (B)."""
    return maps * kept.repeat_interleave(len(maps) // len(kept))[:, None, None, None]


def _encoded(encode: Encode, clips: ClipBatch) -> list[Any]:
    """The features of all frames, encoded in one batch, as one entry of B images per frame."""
    features = encode(clips.frames.transpose(0, 1).flatten(0, 1))
    parts = [part.unflatten(0, (clips.length, -1)) for part in features]
    return [type(features)(*(part[index] for part in parts)) for index in range(clips.length)]


def _blank(like: Tensor, objects: Tensor, channels: int) -> Tensor:
    return like.new_zeros(objects.numel(), channels, *like.shape[-2:])


def _with_mask(value: Tensor, clips: ClipBatch, index: int) -> Tensor:
    """``(B * N, V + 1, h, w)``: the true masks of a frame as one more value."""
    small = area_downsample(clips.masks[:, index], 16).flatten(0, 1)
    return torch.cat([value, small[:, None].to(value.dtype)], 1)


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


def _aggregate(probabilities: Tensor, objects: Tensor) -> Tensor:
    """Log-odds ``(B, N + 1, H, W)``; padded objects have probability 0."""
    return aggregate(probabilities * objects[:, :, None, None], 1)


def _remembers(index: int, length: int, options: UnrollOptions) -> bool:
    return index % options.mem_every == 0 and index < length - 1


def _predictions(
    clips: ClipBatch, odds: list[Tensor], aux: Any, matched: list[Tensor], keys: list[Tensor]
) -> Predictions:
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
    )
