"""XMem (Cheng and Schwing 2022) as an adapter: the inference algorithm of its reference.

Differences that change no number: storage is allocated in blocks, a readout touches only
the tokens that it reads, what depends on the image alone is computed once for all objects
and for several frames at once. Where the reference fails, this does not, see `XMemMemory`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.base import FrameMasks, Segmenter
from adapters.networks.ops import (
    IMAGENET_MEAN,
    Window,
    aggregate,
    pad_to_multiple,
    resize,
    short_side_size,
    upsample,
)
from adapters.networks.xmem import XMem
from adapters.shared.given import GivenPlanes
from adapters.shared.propagation import (
    STRIDE,
    Answer,
    Encoded,
    ImageEncoding,
    Working,
    propagate,
    ready,
)
from adapters.shared.testtime import FrameOptions, Variant, augmented, mirrored_frame
from adapters.weights.checkpoints import load_network
from adapters.xmem.memory import XMemMemory, XMemMemoryOptions
from mose import Video
from mose.masks import object_ids
from stseg.config import option


@dataclass(frozen=True)
class XMemOptions(XMemMemoryOptions, FrameOptions):
    """Options of the reference under its names, with its defaults."""

    flip: bool = option(
        False,
        doc="Run on the mirrored video only, as the reference; its averaging of both runs is"
        " `average_flip`.",
    )
    size: int = option(
        480,
        doc="Every frame is resized to this shorter side, small ones enlarged; -1: none is. "
        "`short_side`, where given, takes its place.",
        least=1,
        also=(-1,),
    )
    average_flip: bool = option(False, doc="Average with a run over the mirrored video.")
    mem_every: int = option(5, doc="Frames from one memory frame to the next.", least=1)
    deep_update_every: int = option(
        -1,
        doc="Frames between updates of the sensory memory by the mask encoder, on memory "
        "frames only; -1: on every memory frame.",
        least=1,
        also=(-1,),
    )
    ahead: int = option(1, doc="Frames whose images are encoded in one batch.", least=1)

    def variants(self) -> tuple[Variant, ...]:
        mirrors = (False, True) if self.average_flip else (False,)
        return tuple(Variant(mirror, scale) for scale in self.scales for mirror in mirrors)


class XMemSegmenter(Segmenter):
    """XMem with sensory, working and long-term memory."""

    name = "xmem"
    summary = "XMem: matching over working and long-term memory of constant size"
    extra = "networks"
    Options = XMemOptions

    def __init__(
        self, weights: str | Path | None = None, device: str = "cpu", **options: Any
    ) -> None:
        super().__init__(weights, device, **options)
        assert self.weights is not None
        network = load_network(self.weights, "xmem", self.notes)
        self.network: XMem = ready(network, self.device, self.options, self.notes)

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return augmented(self._run, video, self.options.variants())

    def _run(self, video: Video, scale: float) -> Iterator[FrameMasks]:
        options = self.options
        size = working_size(video, options, scale)
        frames = propagate(
            video,
            XMemPropagator(self.network, options),
            XMemWorking(size, -1, self.device, options.flip),
            ImageEncoding(self.network.encode_images, options.ahead, amp=options.amp),
        )
        return map(mirrored_frame, frames) if options.flip else frames


def working_size(video: Video, options: XMemOptions, scale: float) -> tuple[int, int]:
    """(height, width) that frames are resized to."""
    short = options.side_for(video.height, video.width, options.size)
    if short < 1:
        short = min(video.height, video.width)
        if scale == 1:
            return video.height, video.width
    return short_side_size(video.height, video.width, max(round(short * scale), 1))


@dataclass(frozen=True)
class XMemWorking(Working):
    """Sizes as the reference has them: objects are told apart before their masks are resized,
    so that each is followed however small, and padding has ImageNet's mean colour.

    flip   mirror pictures and masks, after resizing: nearest neighbours are not symmetric
    """

    flip: bool = False

    def picture(self, frame: np.ndarray) -> Tensor:
        image = super().picture(frame)
        return image.flip(-1) if self.flip else image

    def planes(self, ids: np.ndarray) -> tuple[tuple[int, ...], Tensor]:
        present = object_ids(ids)
        mask = torch.tensor(ids, device=self.device)
        wanted = torch.tensor(present, dtype=mask.dtype, device=self.device)
        planes = (mask == wanted[:, None, None]).float()
        planes = resize(planes[None], self.size, "nearest")[0]
        return present, pad_to_multiple(planes.flip(-1) if self.flip else planes, STRIDE)[0]

    def padded(self, pictures: Tensor) -> tuple[Tensor, Window]:
        images, window = pad_to_multiple(pictures, STRIDE)
        if images is not pictures:
            outside = pad_to_multiple(torch.zeros_like(pictures[:1, :1]), STRIDE, 1.0)[0]
            mean = pictures.new_tensor(IMAGENET_MEAN)[:, None, None]
            images = images + outside * mean
        return images, window


class XMemPropagator:
    """What XMem remembers of one video. Objects are numbered in the order of arrival."""

    def __init__(self, network: XMem, options: XMemOptions):
        self.network = network
        self.options = options
        self.memory = XMemMemory(options)
        self.sensory: Tensor | None = None
        self.time = -1
        self.last_memory = 0
        self.last_deep = -options.deep_update_every

    def step(self, frame: Encoded, given: GivenPlanes | None, last: bool) -> Answer:
        """The next frame, and the masks that come with it; a frame on which objects are
        corrected is never forgotten, see `XMemMemory`."""
        self.time += 1
        since = self.time - self.last_memory
        remember = (since >= self.options.mem_every or given is not None) and not last
        every = self.options.deep_update_every
        together = every < 0
        deep = remember if together else self.time - self.last_deep >= every and not last
        logits = None
        known = self.memory.objects
        if known and not (given is not None and given.covers(known)):
            logits = self._segment(frame, not last and not (together and deep))
            if given is None and not remember:
                return Answer("plain logits", logits)
        masks = None if logits is None else _probabilities(logits)
        if given is not None:
            masks = aggregate(given.merged(masks)).softmax(0)[1:]
        assert masks is not None
        if remember:
            self._remember(frame, masks, deep, given is not None and bool(given.positions))
        if given is None and logits is not None:
            return Answer("plain logits", logits)
        return Answer("probabilities", masks)

    def _segment(self, frame: Encoded, update_sensory: bool) -> Tensor:
        """Logits ``(N, H / 4, W / 4)`` of the objects known so far."""
        assert self.sensory is not None
        features = frame.features
        readout = self.memory.read(features.key[0].float(), features.selection[0].float())
        logits, self.sensory = self.network.decode(
            features,
            readout,
            self.sensory,
            update_sensory=update_sensory,
            chunk=self.options.chunk_size,
        )
        return logits[0].float()

    def _remember(self, frame: Encoded, masks: Tensor, deep: bool, permanent: bool) -> None:
        """Memorise a frame with its masks ``(N, H, W)``."""
        features = frame.features
        size = (self.network.config.sensory_dim, *features.key.shape[-2:])
        if self.sensory is None:
            self.sensory = masks.new_zeros(0, *size)
        fresh = masks.new_zeros(len(masks) - len(self.sensory), *size)
        if len(fresh):
            self.sensory = torch.cat([self.sensory, fresh.to(self.sensory)])
        values, self.sensory = self.network.encode_masks(
            frame.image,
            features.pixels,
            masks[None],
            self.sensory,
            deep_update=deep,
            chunk=self.options.chunk_size,
        )
        self.memory.add(
            features.key[0].float(),
            features.shrinkage[0].float(),
            features.selection[0].float(),
            values.float(),
            permanent=permanent,
        )
        self.last_memory = self.time
        if deep:
            self.last_deep = self.time


def _probabilities(logits: Tensor) -> Tensor:
    """Logits ``(N, H / 4, W / 4)`` -> exclusive probabilities ``(N, H, W)``."""
    return aggregate(upsample(logits[None], 4)[0].sigmoid()).softmax(0)[1:]
