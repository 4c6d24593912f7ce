"""Optical flow: each object's soft mask carried from frame to frame. The floor to beat.

DIS flow (Kroeger et al., ECCV 2016) from OpenCV; nothing is learned and nothing remembered
but the previous frame, so errors add up and what is hidden is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from mose import InputError, Video
from mose.errors import unknown

PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

MIN_SIDE = 32
"""Smaller frames are padded to it: DIS fails, or crashes, on less than its coarsest patch."""

DRIFT = 0.25
"""Confidence is the product of the consistent shares to this power: the rank of the product,
brought to the scale of the IoU."""

LEAST_CONFIDENCE = 0.05
VISIBLE_SHARE = 0.1
"""An object that keeps this share of the area it was given with counts as surely visible."""


@dataclass(frozen=True)
class FlowOptions:
    """Options of `FlowSegmenter`.

    preset       DIS preset: ultrafast, fast or medium
    short_side   shorter side, in pixels, at which the flow is computed; smaller frames stay
    """

    preset: str = "ultrafast"
    short_side: int = 360

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise unknown("preset", self.preset, PRESETS, " of adapter 'flow'")
        if self.short_side < MIN_SIDE:
            raise InputError(
                f"option short_side of adapter 'flow' is {self.short_side}: give at least"
                f" {MIN_SIDE} pixels"
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
        flow = DenseFlow(self.options.preset)
        planes = np.zeros((0, height, width), dtype=np.float32)
        ids: tuple[int, ...] = ()
        given_area = steady = np.zeros(0, dtype=np.float32)
        previous: np.ndarray | None = None
        for index, frame in enumerate(video):
            small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
            if ids and previous is not None:
                backward = flow(grey, previous)
                agrees = consistent(backward, flow(previous, grey))
                planes = sharpen(warp(planes, backward))
                steady = steady * inside(agrees, planes)
            if index in video.prompts:
                new = given_planes(video.prompts[index], video.prompts.ids(index), height, width)
                ids = (*ids, *video.prompts.ids(index))
                planes = np.concatenate([planes * (1.0 - new.sum(axis=0)), new])
                given_area = np.append(given_area, area(new))
                steady = np.append(steady, np.ones(len(new), dtype=np.float32))
            previous = grey
            presence = np.minimum(area(planes) / (VISIBLE_SHARE * given_area), 1.0)
            confidence = np.maximum(steady**DRIFT, LEAST_CONFIDENCE)
            yield FrameMasks(index, ids, presence, confidence, planes, Expansion("probability"))


class DenseFlow:
    """DIS optical flow between two grey frames, of any size."""

    def __init__(self, preset: str):
        self._dis = cv2.DISOpticalFlow.create(PRESETS[preset])

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """``(h, w) uint8`` twice -> ``(h, w, 2) float32``: ``source[p]`` is ``target[p + flow]``.

        The last axis is x, y in pixels.
        """
        height, width = source.shape
        bottom, right = max(0, MIN_SIDE - height), max(0, MIN_SIDE - width)
        if bottom or right:
            source, target = (
                cv2.copyMakeBorder(f, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
                for f in (source, target)
            )
        # None: no initial flow, which the stubs of OpenCV do not know.
        flow = self._dis.calc(source, target, None)  # type: ignore[call-overload]
        return np.asarray(flow)[:height, :width]


def working_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the shorter side at most ``short_side``, each at least 1."""
    scale = min(1.0, short_side / min(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def given_planes(mask: np.ndarray, ids: tuple[int, ...], height: int, width: int) -> np.ndarray:
    """Share of each given object in each working pixel: ``(N, height, width) float32``."""
    planes = [(mask == object_id).astype(np.float32) for object_id in ids]
    shrunk = [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in planes]
    return np.stack(shrunk).reshape(len(ids), height, width)


def warp(images: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Bilinear lookup of ``(N, h, w) float32`` at ``p + flow[p]``; 0 beyond the border."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    warped = np.empty_like(images)
    for image, target in zip(images, warped, strict=True):
        cv2.remap(image, x, y, cv2.INTER_LINEAR, dst=target, borderMode=cv2.BORDER_CONSTANT)
    return warped


def sharpen(planes: np.ndarray) -> np.ndarray:
    """Undo the blur of one bilinear lookup: probabilities to the power 1.5, renormalised.

    ``(N, h, w)`` in [0, 1] with sum at most 1, and so is the result; the background is the
    rest to 1 and takes part. The largest of a pixel stays the largest.
    """
    background = np.clip(1.0 - planes.sum(axis=0), 0.0, 1.0)
    raised = planes * np.sqrt(planes)
    return raised / (raised.sum(axis=0) + background * np.sqrt(background))


def consistent(backward: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Where forward flow undoes backward flow: ``(h, w) float32`` of 0 and 1.

    The test of Sundaram, Brox and Keutzer (ECCV 2010, Eq. 5): the sum's square is below
    0.01 x the sum of the squares + 0.5.
    """
    returned = warp(np.ascontiguousarray(forward.transpose(2, 0, 1)), backward)
    there = backward.transpose(2, 0, 1)
    error = np.square(there + returned).sum(axis=0)
    bound = 0.01 * (np.square(there).sum(axis=0) + np.square(returned).sum(axis=0)) + 0.5
    return (error < bound).astype(np.float32)


def inside(weights: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Mean of ``(h, w)`` weights over each soft mask: ``(N,)``; 0 for an empty one."""
    sums = np.tensordot(planes, weights, axes=2)
    return (sums / np.maximum(area(planes), 1e-6)).astype(np.float32)


def area(planes: np.ndarray) -> np.ndarray:
    """Soft area in pixels: ``(N,) float32``."""
    return planes.sum(axis=(1, 2), dtype=np.float32)
