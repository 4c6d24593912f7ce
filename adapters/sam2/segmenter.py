"""The adapter of SAM 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.sam2.config import STRIDE, Sam2Config
from adapters.sam2.options import TrackingOptions
from adapters.sam2.scaling import Scaling
from adapters.shared.testtime import augmented
from mose import InputError, Video
from stseg.config import option

if TYPE_CHECKING:
    from torch import nn

    from adapters.sam2.network import Network


@dataclass(frozen=True)
class Sam2Options(TrackingOptions):
    """Options of SAM 2, beside those of every network."""

    short_side: int = option(
        -1, doc="Side of the square at which it works; -1: the network's own.", least=1, also=(-1,)
    )
    enlarge: float = option(
        0.0,
        doc="The side is at most this many times the shorter side of the frames; 0: any.",
        least=1,
        also=(0,),
    )
    compile: bool = option(
        False, doc="Run the package's own optimised predictor (`torch.compile` of all parts)."
    )
    network: str = option(
        "",
        doc="Insist on one of the published networks, such as sam2.1-hiera-large; empty: "
        "what the checkpoint says.",
    )
    sigmoid_scale: float = option(
        20.0, doc="Masks enter memory multiplied by it; published 20, 7.5 on MOSE.", above=0
    )
    sigmoid_bias: float = option(
        -10.0, doc="Added to masks on their way into memory; published -10, -4 on MOSE."
    )
    merge: tuple[Scaling, ...] = option(
        (),
        doc="Several configurations instead, merged per object: mappings with "
        "sigmoid_scale, sigmoid_bias, objects (all, small, dense) and weight.",
    )

    def __post_init__(self) -> None:
        if not any(scaling.objects == "all" for scaling in self.scalings()):
            raise InputError(
                "option merge leaves objects without a configuration: give one for all objects"
            )

    def scalings(self) -> tuple[Scaling, ...]:
        """The configurations that run side by side."""
        return self.merge or (Scaling(self.sigmoid_scale, self.sigmoid_bias),)


class Sam2Segmenter(Segmenter):
    """SAM 2 and 2.1, streaming.

    Every object is followed on its own from its first mask, as the package does object by
    object, but all of them in one batch. Frames carry the logits at a quarter of the working
    size; at the video's size the largest logit of a pixel keeps it.
    """

    name = "sam2"
    summary = "SAM 2 and 2.1, with mask scaling and reliable conditioned memory"
    extra = "sam2"
    from_boxes = True
    Options = Sam2Options
    options: Sam2Options

    def __init__(self, weights: str | Path | None = None, device: str = "cpu", **options: Any):
        super().__init__(weights, device, **options)
        from adapters.sam2.model import load

        assert self.weights is not None
        model, self._config = load(
            self.weights,
            name=self.options.network,
            optimised=self.options.compile,
            notes=self.notes,
        )
        self._networks = {self._config.image_size: self._network(model, self._config)}
        for variant in self.options.variants():
            # A size that does not fit fails here.
            self._at_scale(variant.scale, self.options.short_side)

    def outline(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        import torch.nn.functional as F

        if not self._config.knows_boxes:
            raise InputError(
                f"weights {self.weights} were trained from masks alone and know no boxes: give a"
                " mask, or published weights of SAM 2"
            )
        height, width = frame.shape[:2]
        network = self._at_scale(1.0, self.options.side_for(height, width))
        size = network.config.image_size
        scaled = boxes * np.array([size / width, size / height] * 2)
        logits = network.boxed(network.encode(frame), scaled.astype(np.float32))
        # The package enlarges logits so, and cuts them at 0.
        large = F.interpolate(logits.float(), (height, width), mode="bilinear")
        return large[:, 0].cpu().numpy()

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return augmented(self._segment, video, self.options.variants())

    def _segment(self, video: Video, scale: float) -> Iterator[FrameMasks]:
        """One run, at a multiple of the working size."""
        from adapters.sam2.tracker import follow_video

        video.check_prompts()
        network = self._at_scale(scale, self.options.side_for(video.height, video.width))
        return follow_video(video, network, self.options.tracker_options(self.options.scalings()))

    def _at_scale(self, scale: float, side: int = -1) -> Network:
        """The network at a multiple of a working size, on the same weights; -1: its own."""
        from adapters.sam2.model import resized

        side = side if side > 0 else self._config.image_size
        size = max(1, round(side * scale / STRIDE)) * STRIDE
        if size not in self._networks:
            own = self._networks[self._config.image_size].model
            twin = resized(own, self._config, size, optimised=self.options.compile)
            self._networks[size] = self._network(*twin)
        return self._networks[size]

    def _network(self, model: nn.Module, config: Sam2Config) -> Network:
        from adapters.sam2.network import Network

        return Network(
            model,
            config,
            device=self.device,
            amp=self.options.amp,
            optimised=self.options.compile,
            notes=self.notes,
        )
