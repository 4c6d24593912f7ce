"""LiVOS (Liu et al. 2024) as an adapter: the inference algorithm of its reference.

Memory is of constant size. Every frame is memorised. Given masks enter the memory as they
are, and on the first frame the reference answers with log-odds instead of probabilities,
which are resized as such.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adapters.base import FrameMasks, Segmenter
from adapters.networks.linear_matching import LinearState
from adapters.networks.livos import GatedFeatures, LiVOS
from adapters.networks.object_network import CutieConfig
from adapters.networks.ops import aggregate, area_downsample, short_side_size, upsample
from adapters.shared.given import GivenPlanes
from adapters.shared.propagation import Answer, Encoded, ImageEncoding, Working, propagate, ready
from adapters.shared.testtime import FrameOptions, augmented
from adapters.weights.checkpoints import load_network
from mose import Video
from stseg.config import option


@dataclass(frozen=True)
class LivosOptions(FrameOptions):
    """Options of the reference, with its defaults."""

    size: int = option(
        480,
        doc="Frames are resized to this shorter side, small ones as well; -1: none are. "
        "`short_side`, where given, takes its place.",
        least=1,
        also=(-1,),
    )
    ahead: int = option(1, doc="Frames whose images are encoded in one batch.", least=1)


class LivosSegmenter(Segmenter):
    """LiVOS: light video object segmentation with gated linear matching."""

    name = "livos"
    summary = "LiVOS: gated linear matching, memory of constant size"
    extra = "networks"
    Options = LivosOptions

    def __init__(
        self, weights: str | Path | None = None, device: str = "cpu", **options: Any
    ) -> None:
        super().__init__(weights, device, **options)
        assert self.weights is not None
        network = load_network(self.weights, "livos", self.notes)
        # Every pixel reads the whole state: nothing is chosen, so no last bit decides.
        self.network = ready(network, self.device, self.options, self.notes, decisive=())

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return augmented(self._run, video, self.options.variants())

    def _run(self, video: Video, scale: float) -> Iterator[FrameMasks]:
        options = self.options
        short = options.side_for(video.height, video.width, options.size)
        if short < 1:
            short = min(video.height, video.width)
        size = short_side_size(video.height, video.width, max(round(short * scale), 1))
        return propagate(
            video,
            LivosPropagator(self.network, options),
            Working(size, -1, self.device),
            ImageEncoding(self.network.encode_images, options.ahead, amp=options.amp),
        )


class LivosPropagator:
    """What LiVOS remembers of one video. Objects are numbered in the order of arrival."""

    def __init__(self, network: LiVOS, options: LivosOptions):
        self.network = network
        self.options = options
        self.known: _Known | None = None

    def step(self, frame: Encoded, given: GivenPlanes | None, last: bool) -> Answer:
        """The next frame, and the masks that come with it."""
        if self.known is None:
            assert given is not None
            masks = given.planes
            answer = Answer("odds", aggregate(masks))
            self.known = _Known.nothing(self.network.config, frame.features.key)
        else:
            logits = self._segment(self.known, frame.features)
            if last and given is None:
                return Answer("logits", logits)
            masks = upsample(aggregate(logits.sigmoid())[None], 4)[0].softmax(0)[1:]
            answer = Answer("logits", logits)
            if given is not None:
                masks = given.merged(masks)
                answer = Answer("probabilities", masks)
        if not last:
            if given is not None and given.new:
                self.known = self.known.extended(given.new)
            self.known = self._remembered(self.known, frame, masks)
        return answer

    def _segment(self, known: _Known, features: GatedFeatures) -> Tensor:
        """Logits ``(N, H / 4, W / 4)`` of the objects known so far."""
        refined = self.network.refine(
            features.pixels,
            known.state.read(features.key.float()),
            known.sensory,
            known.small[None],
            known.summaries[None],
        )
        logits, known.sensory = self.network.decode(
            (features.skip8, features.skip4), refined, known.sensory, chunk=self.options.chunk_size
        )
        return logits[0].float()

    def _remembered(self, known: _Known, frame: Encoded, masks: Tensor) -> _Known:
        """With a frame and its masks ``(N, H, W)`` added."""
        features = frame.features
        key = features.key.float()
        values, sensory, summaries = self.network.encode_masks(
            frame.image,
            features.pixels,
            masks[None],
            known.sensory,
            chunk=self.options.chunk_size,
        )
        state = known.state.seen(key).written(key, values.float(), features.gate.float())
        small = area_downsample(masks[None], 16)[0]
        return _Known(state, sensory, known.summaries + summaries[0], small)


@dataclass
class _Known:
    """Of N objects.

    state       gated linear matching
    sensory     ``(N, S, h, w)``
    summaries   ``(N, Q, C + 1)`` object memory, summed over all frames
    small       ``(N, h, w)`` masks of the frame before, averaged down
    """

    state: LinearState
    sensory: Tensor
    summaries: Tensor
    small: Tensor

    @staticmethod
    def nothing(config: CutieConfig, key: Tensor) -> _Known:
        """Of no object, for maps like ``key`` ``(1, K, h, w)``."""
        key = key.float()
        size = key.shape[-2:]
        return _Known(
            LinearState.empty(key, config.value_dim, config.normaliser),
            key.new_zeros(0, config.sensory_dim, *size),
            key.new_zeros(0, config.queries, config.embed_dim + 1),
            key.new_zeros(0, *size),
        )

    def extended(self, objects: int) -> _Known:
        """With new objects of which nothing is known yet."""

        def longer(x: Tensor) -> Tensor:
            return torch.cat([x, x.new_zeros(objects, *x.shape[1:])])

        return _Known(
            self.state.extended(objects),
            longer(self.sensory),
            longer(self.summaries),
            longer(self.small),
        )
