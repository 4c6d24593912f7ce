"""The adapter of SAM 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from adapters.sam2.config import STRIDE, Sam2Config
from adapters.sam2.scaling import Scaling
from adapters.shared.testtime import FrameOptions, augmented
from mose import InputError, Video
from stseg.config import option

if TYPE_CHECKING:
    from torch import nn

    from adapters.sam2.network import Network
    from adapters.sam2.tracker import TrackerOptions


MEMORIES = ("window", "tree", "anchors", "quality", "motion")


@dataclass(frozen=True)
class TreeOptions:
    """How many hypotheses there are, and how long an answer may wait for them."""

    hypotheses: int = option(
        3, doc="Hypotheses of an object; each costs a run of the network but the encoder.", least=1
    )
    lag: int = option(
        15,
        doc="Frames that an answer is held back at most, until the hypotheses agree on it.",
        least=0,
    )


@dataclass(frozen=True)
class Sam2Options(FrameOptions):
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
    chunk_size: int = option(
        -1,
        doc="Objects times configurations in one batch; -1: as many as pay on the device.",
        least=1,
        also=(-1,),
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
    memory: str = option(
        "window",
        doc="What an object remembers: window (the latest frames, as SAM 2), tree (several "
        "hypotheses side by side), anchors (frames that tell it from look-alikes), quality (frames "
        "on which it was seen well) or motion (masks where it was going).",
        choices=MEMORIES,
    )
    tree: TreeOptions = option(TreeOptions, doc="`TreeOptions`, also as `tree.<name>`.")
    rcms_frames: int = option(
        0,
        doc="Reliable conditioned memory: frames that become conditioning frames at an "
        "object's first disappearance; 0: none, MOSEv2's baseline has 4.",
        least=0,
    )
    rcms_quality: float = option(
        0.6, doc="Only frames above this quality become conditioning frames.", least=0, most=1
    )
    hole_area: int = option(
        0, doc="Fill holes of at most this many low-resolution pixels; 0: none.", least=0
    )

    max_cond_frames_in_attn: int = option(
        8,
        doc="Given masks of an object, its first and corrections, that condition it, the latest "
        "ones; beside those of `rcms_frames`.",
        least=2,
    )

    def __post_init__(self) -> None:
        if not any(scaling.objects == "all" for scaling in self.scalings()):
            raise InputError(
                "option merge leaves objects without a configuration: give one for all objects"
            )

    def scalings(self) -> tuple[Scaling, ...]:
        """The configurations that run side by side."""
        return self.merge or (Scaling(self.sigmoid_scale, self.sigmoid_bias),)

    def tracker_options(self) -> TrackerOptions:
        from adapters.sam2.memories import MemoryKind
        from adapters.sam2.tracker import TrackerOptions

        return TrackerOptions(
            scalings=self.scalings(),
            chunk_size=self.chunk_size,
            rcms_frames=self.rcms_frames,
            rcms_quality=self.rcms_quality,
            hole_area=self.hole_area,
            conditioning=self.max_cond_frames_in_attn,
            memory=MemoryKind(self.memory, self.tree.hypotheses, self.tree.lag),
        )


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
        from adapters.sam2.tracker import Tracker

        video.check_prompts()
        network = self._at_scale(scale, self.options.side_for(video.height, video.width))
        tracker = Tracker(network, self.options.tracker_options(), len(video))
        first = min(video.prompts)
        side = network.config.image_size // 4
        for index in range(len(video)):
            if index < first:
                yield _nothing(index, side)
                continue
            features = network.encode(video[index])
            given = video.given(index)
            tracker.follow(index, features, given.corrected if given else ())
            if given:
                tracker.correct(index, features, {i: given.mask == i for i in given.corrected})
                tracker.add(index, features, {i: given.mask == i for i in given.new})
            yield from tracker.decided()
        yield from tracker.rest()

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


def _nothing(index: int, side: int) -> FrameMasks:
    """A frame before the first given mask."""
    none = np.zeros(0, dtype=np.float32)
    native = np.zeros((0, side, side), dtype=np.float32)
    return FrameMasks(index, (), none, none, native, Expansion("exclusive"))
