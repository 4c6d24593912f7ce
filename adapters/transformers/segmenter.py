"""The adapter of SAM 3's tracker, SAM 2 and EdgeTAM in the format of package ``transformers``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import FrameMasks, Segmenter
from adapters.sam2.options import TrackingOptions
from adapters.sam2.scaling import Scaling
from adapters.shared.testtime import augmented
from mose import InputError, Video


@dataclass(frozen=True)
class TransformersOptions(TrackingOptions):
    """Options of SAM 3; it works at its own size."""

    def __post_init__(self) -> None:
        if self.short_side > 0 or any(scale != 1 for scale in self.scales):
            raise InputError(
                "adapter 'transformers' works at the network's own size: leave out short_side and"
                " scales"
            )


class TransformersSegmenter(Segmenter):
    """SAM 3's tracker, SAM 2 and EdgeTAM, streaming.

    Every object is followed on its own from its first mask, all of them in one batch, with the
    memories of adapter sam2. Masks are at a quarter of SAM 2's and EdgeTAM's working size,
    2 / 7 of SAM 3's.
    """

    name = "transformers"
    summary = "SAM 3, SAM 2 and EdgeTAM, in the format of package transformers"
    extra = "sam3"
    Options = TransformersOptions
    options: TransformersOptions

    def __init__(self, weights: str | Path | None = None, device: str = "cpu", **options: Any):
        super().__init__(weights, device, **options)
        from adapters.transformers.edgetam import EdgeTamNetwork
        from adapters.transformers.loading import compile_parts, load
        from adapters.transformers.network import TransformersConfig, TransformersNetwork

        assert self.weights is not None
        model = load(self.weights)
        config = TransformersConfig.of(model)
        if self.options.compile:
            compile_parts(model)
        self._scaling = Scaling(config.sigmoid_scale, config.sigmoid_bias)
        kind = EdgeTamNetwork if hasattr(model, "spatial_perceiver") else TransformersNetwork
        self._network = kind(
            model,
            config,
            device=self.device,
            amp=self.options.amp,
            optimised=self.options.compile,
            notes=self.notes,
        )

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return augmented(self._segment, video, self.options.variants())

    def _segment(self, video: Video, scale: float) -> Iterator[FrameMasks]:
        from adapters.sam2.tracker import follow_video

        return follow_video(video, self._network, self.options.tracker_options([self._scaling]))
