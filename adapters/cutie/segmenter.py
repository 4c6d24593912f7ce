"""Cutie (Cheng et al. 2024) as an adapter: the inference algorithm of its reference.

Some differences do not change the results: storage is allocated once, a readout touches only the
tokens that it reads, and what depends on the image alone is computed for several frames at once. In
these cases the reference fails and this does not: fewer memory tokens than ``top_k``, fewer
candidates than prototypes, a full long-term memory without usage counts.
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
from adapters.cutie.memory import CutieMemory, CutieMemoryOptions
from adapters.networks.affinity import ImageFeatures
from adapters.networks.cutie import Cutie
from adapters.networks.object_network import chunks
from adapters.networks.ops import aggregate, area_downsample, short_side_size, upsample
from adapters.shared.given import GivenPlanes
from adapters.shared.propagation import Answer, Encoded, ImageEncoding, Working, propagate, ready
from adapters.shared.testtime import FrameOptions, augmented
from adapters.weights.checkpoints import load_network
from mose import Video
from stseg.config import option


@dataclass(frozen=True)
class CutieOptions(CutieMemoryOptions, FrameOptions):
    """Options of the reference under its names, with its defaults for MOSE."""

    size: int = option(
        480,
        doc="Frames whose shorter side is larger are resized to it; -1: none are. "
        "`short_side`, where given, takes its place and enlarges as well.",
        least=1,
        also=(-1,),
    )
    mem_every: int = option(5, doc="Frames from one memory frame to the next.", least=1)
    stagger_updates: int = option(
        5, doc="Decoder updates of the sensory memory per `mem_every` frames.", least=0
    )
    max_internal_size: int = option(
        -1,
        doc="A second limit on the shorter side, without antialiasing; -1: none.",
        least=1,
        also=(-1,),
    )
    flip_aug: bool = option(False, doc="Run with the mirrored video and average before memorising.")
    ahead: int = option(1, doc="Frames whose images are encoded in one batch.", least=1)

    @property
    def sensory_times(self) -> frozenset[int]:
        """Frames since the last memory frame at which the decoder updates the sensory memory."""
        if self.stagger_updates >= self.mem_every:
            return frozenset(range(1, self.mem_every + 1))
        times = np.round(np.linspace(1, self.mem_every, self.stagger_updates))
        return frozenset(int(time) for time in times)


class CutieSegmenter(Segmenter):
    """Cutie base or small, found from the weights."""

    name = "cutie"
    summary = "Cutie base and small: object queries over a memory of frames"
    extra = "networks"
    Options = CutieOptions

    def __init__(
        self, weights: str | Path | None = None, device: str = "cpu", **options: Any
    ) -> None:
        super().__init__(weights, device, **options)
        assert self.weights is not None
        network = load_network(self.weights, "cutie", self.notes)
        self.network = ready(network, self.device, self.options, self.notes)

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return augmented(self._run, video, self.options.variants())

    def _run(self, video: Video, scale: float) -> Iterator[FrameMasks]:
        options = self.options
        limit = options.max_internal_size
        working = Working(
            working_size(video, options, scale),
            round(limit * scale) if limit > 0 else -1,
            self.device,
        )
        return propagate(
            video,
            CutiePropagator(self.network, options),
            working,
            ImageEncoding(self.network.encode_images, options.ahead, options.flip_aug, options.amp),
        )


def working_size(video: Video, options: CutieOptions, scale: float) -> tuple[int, int]:
    """(height, width) that frames are resized to; the reference only makes them smaller."""
    height, width = video.height, video.width
    wanted = options.side_for(height, width)
    if wanted > 0:
        return short_side_size(height, width, max(round(wanted * scale), 1))
    if 0 < options.size < min(height, width):
        return short_side_size(height, width, max(round(options.size * scale), 1))
    return max(round(height * scale), 1), max(round(width * scale), 1)


class CutiePropagator:
    """What Cutie remembers of one video.

    Everything has a leading dimension B: 1, or 2 with the mirrored copy, each copy with
    memories of its own. Objects are numbered in the order of arrival.
    """

    def __init__(self, network: Cutie, options: CutieOptions):
        self.network = network
        self.options = options
        copies = 2 if options.flip_aug else 1
        self.memories = [CutieMemory(options) for _ in range(copies)]
        self.sensory: Tensor | None = None
        self.small: Tensor | None = None
        self.time = -1
        self.last_memory = 0

    def step(self, frame: Encoded, given: GivenPlanes | None, last: bool) -> Answer:
        """The next frame, and the masks that come with it; one on which objects are corrected
        is a permanent memory frame of theirs."""
        self.time += 1
        since = self.time - self.last_memory
        masks, logits = None, None
        known = self.memories[0].objects
        if known and not (given is not None and given.covers(known)):
            logits = self._segment(frame.features, since in self.options.sensory_times and not last)
            if last and given is None and len(logits) == 1:
                return Answer("logits", logits[0])
            masks = _probabilities(logits)
        if given is not None:
            masks = aggregate(given.merged(masks)).softmax(0)[1:]
        assert masks is not None
        copies = masks[None] if len(self.memories) == 1 else torch.stack([masks, masks.flip(-1)])
        self.small = area_downsample(copies, 16)
        if (since >= self.options.mem_every or given is not None) and not last:
            self._remember(frame, copies, given.positions if given is not None else ())
        if logits is not None and len(logits) == 1 and given is None:
            return Answer("logits", logits[0])
        return Answer("probabilities", masks)

    def _segment(self, features: ImageFeatures, update_sensory: bool) -> Tensor:
        """Logits ``(B, N, H / 4, W / 4)`` of the objects known so far."""
        assert self.sensory is not None
        assert self.small is not None
        chunk = self.options.chunk_size
        readout = torch.stack(
            [
                memory.read(key, selection)
                for memory, key, selection in zip(
                    self.memories, features.key, features.selection, strict=True
                )
            ]
        )
        object_memory = torch.stack([memory.summaries for memory in self.memories])
        refined = []
        for group in self.memories[0].groups:
            for part in chunks(group, chunk):
                fused = self.network.refine(
                    features.pixels,
                    readout[:, part].flatten(0, 1),
                    self.sensory[:, part].flatten(0, 1),
                    self.small[:, part],
                    object_memory[:, part],
                )
                refined.append(fused.unflatten(0, (len(readout), -1)))
        logits, sensory = self.network.decode(
            (features.skip8, features.skip4),
            torch.cat(refined, 1).flatten(0, 1),
            self.sensory.flatten(0, 1),
            update_sensory=update_sensory,
            chunk=chunk,
        )
        self.sensory = sensory.unflatten(0, self.sensory.shape[:2])
        return logits.float()

    def _remember(self, frame: Encoded, masks: Tensor, corrected: tuple[int, ...]) -> None:
        """Memorise a frame with its masks ``(B, N, H, W)``."""
        features = frame.features
        group = masks.shape[:2]
        if self.sensory is None:
            size = (self.network.config.sensory_dim, *features.key.shape[-2:])
            self.sensory = masks.new_zeros(len(masks), 0, *size)
        fresh = masks.shape[1] - self.sensory.shape[1]
        if fresh:
            blank = self.sensory.new_zeros(len(masks), fresh, *self.sensory.shape[2:])
            self.sensory = torch.cat([self.sensory, blank], 1)
        values, sensory, summaries = self.network.encode_masks(
            frame.image,
            features.pixels,
            masks,
            self.sensory.flatten(0, 1),
            chunk=self.options.chunk_size,
        )
        self.sensory = sensory.unflatten(0, group)
        values = values.unflatten(0, group)
        for copy, memory in enumerate(self.memories):
            memory.add(
                features.key[copy].float(),
                features.shrinkage[copy].float(),
                features.selection[copy].float(),
                values[copy].float(),
                summaries[copy],
                corrected=corrected,
            )
        self.last_memory = self.time


def _probabilities(logits: Tensor) -> Tensor:
    """Object probabilities ``(N, H, W)`` from logits ``(B, N, H / 4, W / 4)``; the second of
    two copies is mirrored, and the two are averaged."""
    masks = upsample(aggregate(logits.sigmoid(), 1), 4).softmax(1)[:, 1:]
    if len(masks) == 1:
        return masks[0]
    return (masks[0] + masks[1].flip(-1)) / 2
