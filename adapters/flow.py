"""Optical flow: each object's soft mask carried from frame to frame. The floor to beat.

DIS flow (Kroeger et al., ECCV 2016) from OpenCV. Nothing is learned, and only the previous frame is
remembered, so errors add up and hidden objects are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from adapters.shared.optical_flow import (
    MIN_SIDE,
    PRESETS,
    DenseFlow,
    area,
    consistent,
    inside,
    merged_planes,
    sharpen,
    uncovered,
    warp,
    working_size,
)
from mose import Video
from stseg.config import option

DRIFT = 0.4
"""Confidence is the product of the consistent shares to this power, which brings it to the scale of
the IoU without changing its order."""

LEAST_CONFIDENCE = 0.05
VISIBLE_SHARE = 0.1
"""An object that keeps this share of its given area counts as certainly visible."""


@dataclass(frozen=True)
class FlowOptions:
    """Options of `FlowSegmenter`."""

    preset: str = option("ultrafast", doc="DIS preset: ultrafast, fast or medium.", choices=PRESETS)
    short_side: int = option(
        180,
        doc="Shorter side, in pixels, at which the flow is computed; smaller frames stay.",
        least=MIN_SIDE,
    )


class FlowSegmenter(Segmenter):
    """Warps the masks of the previous frame along the optical flow."""

    name = "flow"
    summary = "warps the previous masks along DIS optical flow"
    needs_weights = False
    Options = FlowOptions

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        video.check_prompts()
        height, width = working_size(video.height, video.width, self.options.short_side)
        flow = DenseFlow(self.options.preset, finest=0)
        planes = np.zeros((0, height, width), dtype=np.float32)
        ids: tuple[int, ...] = ()
        given_area = steady = np.zeros(0, dtype=np.float32)
        previous: np.ndarray | None = None
        for index, frame in enumerate(video):
            small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
            if ids and previous is not None:
                backward, forward = flow(grey, previous), flow(previous, grey)
                planes = warp(planes, backward)
                planes[:, uncovered(forward)] = 0.0
                planes = sharpen(planes)
                steady = steady * inside(consistent(backward, forward), planes)
            given = video.given(index)
            if given is not None:
                planes, ids = merged_planes(planes, ids, given)
                given_area, steady = (
                    np.pad(numbers, (0, len(given.new))) for numbers in (given_area, steady)
                )
                for row in map(ids.index, (*given.corrected, *given.new)):
                    steady[row] = 1.0
                    # Who is gone is measured by the area that it had when it was there.
                    given_area[row] = area(planes[row : row + 1])[0] or given_area[row]
            previous = grey
            presence = np.minimum(area(planes) / (VISIBLE_SHARE * given_area), 1.0)
            confidence = np.maximum(steady**DRIFT, LEAST_CONFIDENCE)
            yield FrameMasks(index, ids, presence, confidence, planes, Expansion("probability"))
