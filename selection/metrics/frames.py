"""The score of one object on one frame: J, F and adaptive F of two id masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mose.masks import VOID
from selection.metrics.boundary import boundary_f, davis_tolerance, mosev2_tolerances
from selection.metrics.regions import Regions, jaccard


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One object on one frame, in [0, 1].

    `F_adaptive` is `F` but under ``mosev2``; both are `J` where a protocol has no boundary score.
    """

    J: float
    F: float
    F_adaptive: float
    in_truth: bool
    in_prediction: bool


NOWHERE = FrameScore(1.0, 1.0, 1.0, False, False)
"""An object that is in neither mask."""

FrameRule = Callable[[Regions, Regions, int], FrameScore]
"""Scores an object that one of prediction and truth has; both have the same size."""


def overlap(prediction: Regions, truth: Regions, object_id: int) -> tuple[int, int]:
    """Pixels of the intersection and of the union of one object."""
    predicted, true = prediction.areas.get(object_id, 0), truth.areas.get(object_id, 0)
    intersection = prediction.plane(object_id).common(truth.plane(object_id))
    return intersection, predicted + true - intersection


def _frame_score(
    prediction: Regions, truth: Regions, object_id: int, j: float, f: float, f_adaptive: float
) -> FrameScore:
    return FrameScore(j, f, f_adaptive, object_id in truth.areas, object_id in prediction.areas)


def davis_frame(prediction: Regions, truth: Regions, object_id: int) -> FrameScore:
    """Plain J, and F with the tolerance of DAVIS (Perazzi et al., CVPR 2016, section 4)."""
    j = jaccard(*overlap(prediction, truth, object_id))
    boundaries = prediction.boundary(object_id), truth.boundary(object_id)
    f = boundary_f(*boundaries, davis_tolerance(*truth.shape))
    return _frame_score(prediction, truth, object_id, j, f, f)


def region_frame(prediction: Regions, truth: Regions, object_id: int) -> FrameScore:
    """Plain J and no boundary score."""
    j = jaccard(*overlap(prediction, truth, object_id))
    return _frame_score(prediction, truth, object_id, j, j, j)


def vots_frame(prediction: Regions, truth: Regions, object_id: int) -> FrameScore:
    """Overlap as the VOT toolkit computes it: without the truth's void pixels.

    It takes a mask of a single row or column for an empty one, and an empty one for a pixel in the
    upper left corner when it asks whether both are (vot/region/raster.py and shapes.py).
    """
    nothing = (0, 0, 1, 1)
    predicted, true = (m.boxes.get(object_id, nothing) for m in (prediction, truth))
    top, left = (min(a, b) for a, b in zip(predicted[:2], true[:2], strict=True))
    bottom, right = (max(a, b) for a, b in zip(predicted[2:], true[2:], strict=True))
    j = 1.0
    if bottom - top > 1 and right - left > 1:
        intersection, union = overlap(prediction, truth, object_id)
        union -= prediction.plane(object_id).common(truth.plane(VOID))
        j = intersection / union if union else 0.0
    in_truth, in_prediction = (
        box[2] - box[0] > 1 and box[3] - box[1] > 1 for box in (true, predicted)
    )
    return FrameScore(j, j, j, in_truth, in_prediction)


def smoothed_jaccard(intersection: int, union: int) -> float:
    """J of MOSEv2: one pixel more in both counts, so that a single stray pixel costs half."""
    return (intersection + 1) / (union + 1)


def mosev2_frame(prediction: Regions, truth: Regions, object_id: int) -> FrameScore:
    """Smoothed J, and F with a tolerance that shrinks with the object besides the plain one."""
    j = smoothed_jaccard(*overlap(prediction, truth, object_id))
    boundaries = prediction.boundary(object_id), truth.boundary(object_id)
    plain, adaptive = mosev2_tolerances(*truth.shape, truth.areas.get(object_id, 0))
    f = boundary_f(*boundaries, plain)
    f_adaptive = f if adaptive == plain else boundary_f(*boundaries, adaptive)
    return _frame_score(prediction, truth, object_id, j, f, f_adaptive)
