"""Region and boundary scores of id masks: J, F and adaptive F of every object.

An id mask is ``(height, width) uint8``: 0 is background, 1..254 are object ids, 255 is void
and no object.
`Regions` prepares an id mask once, so that one mask (a pseudo-label) can be compared with
many (the members' masks); `object_score` compares two. `VideoScorer` gathers the scores
of a video frame by frame and concludes them as a protocol does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from statistics import fmean

import numpy as np

from mose.masks import VOID
from selection.metrics.bits import BitPlane, runs
from selection.metrics.boundary import Boundary, boundary_f, davis_tolerance, mosev2_tolerances
from stseg.errors import unknown

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; bottom and right are exclusive."""

PROTOCOLS = ("davis", "mosev2", "vos-benchmark")
"""davis          DAVIS 2017 and MOSE v1: every object counts on every frame
mosev2         smoothed J, adaptive F, and scores while an object is away or back again
vos-benchmark  as davis, but an object counts from the first frame on which it is seen"""


class Regions:
    """An id mask and the properties of its objects, each computed once.

    ``areas`` maps the ids that are present to their pixel counts, ascending by id.
    """

    def __init__(self, ids: np.ndarray):
        if ids.ndim != 2 or ids.dtype != np.uint8:
            raise ValueError(f"an id mask is (height, width) uint8, not {ids.dtype} {ids.shape}")
        self.ids = np.ascontiguousarray(ids)
        self._planes: dict[int, BitPlane] = {}
        self._boundaries: dict[int, Boundary] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.ids.shape
        return height, width

    @cached_property
    def _runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # masks have few runs, so areas and boxes are cheaper from runs than from pixels
        return runs(self.ids)

    @cached_property
    def areas(self) -> dict[int, int]:
        values, _, lengths = self._runs
        counts = np.bincount(values, weights=lengths)
        return {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i != VOID}

    @cached_property
    def boxes(self) -> dict[int, Box]:
        """The smallest box around every object that is present."""
        values, starts, lengths = self._runs
        rows, columns = np.divmod(starts, self.ids.shape[1])
        found = {}
        for object_id in self.areas:
            mine = np.flatnonzero(values == object_id)
            left = columns[mine]
            right = left + lengths[mine]
            top, bottom = rows[mine[0]], rows[mine[-1]] + 1
            found[object_id] = (int(top), int(left.min()), int(bottom), int(right.max()))
        return found

    def plane(self, object_id: int) -> BitPlane:
        """The pixels of an object, which may be absent."""
        if object_id not in self._planes:
            top, left, bottom, right = self.boxes.get(object_id, (0, 0, 0, 0))
            top, first, last = max(top - 1, 0), max(left - 1, 0) // 64, -(-right // 64)
            crop = self.ids[top:bottom, first * 64 : last * 64]
            self._planes[object_id] = BitPlane.pack(crop == object_id, top, first)
        return self._planes[object_id]

    def boundary(self, object_id: int) -> Boundary:
        """The boundary of an object, which may be absent."""
        if object_id not in self._boundaries:
            self._boundaries[object_id] = Boundary(self.plane(object_id), *self.shape)
        return self._boundaries[object_id]


@dataclass(frozen=True, slots=True)
class FrameScore:
    """One object on one frame, in [0, 1]; `F_adaptive` is `F` but under ``mosev2``."""

    J: float
    F: float
    F_adaptive: float
    in_truth: bool
    in_prediction: bool


NOWHERE = FrameScore(1.0, 1.0, 1.0, False, False)
"""An object that is in neither mask."""

ObjectScores = dict[str, float | None]
"""Score names to means in [0, 1]; None where there is nothing to take a mean of."""


def jaccard(intersection: int, union: int) -> float:
    """Intersection over union, 1 where both masks are empty."""
    return intersection / union if union else 1.0


def smoothed_jaccard(intersection: int, union: int) -> float:
    """J of MOSEv2: one pixel more in both counts, so that a single stray pixel costs half."""
    return (intersection + 1) / (union + 1)


def iou(one: Regions, other: Regions, object_id: int) -> float:
    """J of one object in two masks of the same size."""
    a, b = one.areas.get(object_id, 0), other.areas.get(object_id, 0)
    shared = one.plane(object_id).common(other.plane(object_id)) if a and b else 0
    return jaccard(shared, a + b - shared)


def object_score(
    prediction: Regions, truth: Regions, object_id: int, protocol: str = "davis"
) -> FrameScore:
    """The score of one object on one frame; both masks have the same size."""
    predicted = prediction.areas.get(object_id, 0)
    true = truth.areas.get(object_id, 0)
    if not predicted and not true:
        return NOWHERE
    intersection = prediction.plane(object_id).common(truth.plane(object_id))
    union = predicted + true - intersection
    boundaries = prediction.boundary(object_id), truth.boundary(object_id)
    if protocol == "mosev2":
        j = smoothed_jaccard(intersection, union)
        plain, adaptive = mosev2_tolerances(*truth.shape, true)
        f = boundary_f(*boundaries, plain)
        f_adaptive = f if adaptive == plain else boundary_f(*boundaries, adaptive)
    else:
        j = jaccard(intersection, union)
        f = f_adaptive = boundary_f(*boundaries, davis_tolerance(*truth.shape))
    return FrameScore(j, f, f_adaptive, true > 0, predicted > 0)


_COMBINED = {
    "J&F": ("J", "F"),
    "J&F_adaptive": ("J", "F_adaptive"),
    "J&F_disappear": ("J_disappear", "F_disappear"),
    "J&F_reappear": ("J_reappear", "F_reappear"),
}


def _combine(scores: ObjectScores) -> ObjectScores:
    """``scores`` with the mean of every region score and its boundary score added."""
    combined: ObjectScores = {}
    for name, (region, boundary) in _COMBINED.items():
        if region in scores and boundary in scores:
            j, f = scores[region], scores[boundary]
            combined[name] = None if j is None or f is None else (j + f) / 2
    return scores | combined


def mean_scores(scores: Iterable[ObjectScores | None]) -> ObjectScores:
    """Mean over objects of every score, each over the objects that have it.

    All protocols mean over objects, not over videos. Empty without any object.
    """
    counted = [item for item in scores if item is not None]
    means: ObjectScores = {}
    for name in counted[0] if counted else ():
        if name not in _COMBINED:
            values = [value for item in counted if (value := item[name]) is not None]
            means[name] = fmean(values) if values else None
    return _combine(means)


class VideoScorer:
    """The scores of one video, fed frame by frame; keeps numbers, not masks.

    protocol   one of `PROTOCOLS`
    objects    ids that count even if no fed frame has them (they were in the first mask)

    Feed the frames that count, in order: first and last frame are the caller's to leave out.
    """

    def __init__(self, protocol: str = "davis", objects: Iterable[int] = ()):
        if protocol not in PROTOCOLS:
            raise unknown("protocol", protocol, PROTOCOLS)
        self.protocol = protocol
        self.frames = 0
        self._series: dict[int, list[FrameScore]] = {int(i): [] for i in objects}
        self._true = set(self._series)

    def add(self, prediction: Regions | np.ndarray, truth: Regions | np.ndarray) -> None:
        """Score one frame. Id masks ``(H, W) uint8`` of one size, or their `Regions`."""
        prediction = prediction if isinstance(prediction, Regions) else Regions(prediction)
        truth = truth if isinstance(truth, Regions) else Regions(truth)
        if prediction.shape != truth.shape:
            raise ValueError(f"masks of {prediction.shape} and {truth.shape} cannot be compared")
        self._true.update(truth.areas)
        for object_id in {*prediction.areas, *truth.areas} - self._series.keys():
            self._series[object_id] = [NOWHERE] * self.frames
        for object_id, series in self._series.items():
            series.append(object_score(prediction, truth, object_id, self.protocol))
        self.frames += 1

    @property
    def predicted(self) -> set[int]:
        """The ids that any prediction had."""
        return {i for i, series in self._series.items() if any(f.in_prediction for f in series)}

    def series(self) -> dict[int, list[FrameScore]]:
        """The frame scores of every object of the true masks, ascending by id."""
        return {i: self._series[i] for i in sorted(self._true)}

    def scores(self) -> dict[int, ObjectScores | None]:
        """The protocol's scores of every object; None for one that it does not count."""
        return {i: conclude(series, self.protocol) for i, series in self.series().items()}


def conclude(series: Sequence[FrameScore], protocol: str) -> ObjectScores | None:
    """The scores of one object from those of its frames, or None if it does not count.

    An object counts if there is a frame to score (``davis``) or a true mask that has it
    (``vos-benchmark``). Under ``mosev2`` it always counts, with zeros in a video that is
    missing or so short that no frame is scored.
    """
    if protocol == "mosev2":
        return _conclude_mosev2(series)
    if protocol == "vos-benchmark":
        if not any(frame.in_truth for frame in series):
            return None
        seen = (i for i, frame in enumerate(series) if frame.in_truth or frame.in_prediction)
        series = series[next(seen) :]
    if not series:
        return None
    j, f = fmean(frame.J for frame in series), fmean(frame.F for frame in series)
    return _combine({"J": j, "F": f})


def _conclude_mosev2(series: Sequence[FrameScore]) -> ObjectScores:
    """Plain means, and means over the runs of frames in which the object is away or back.

    A run is away if the true mask is empty on it and back if it is not; the first run of
    a video is neither, for nothing has changed yet. A mean is over the frames of a run,
    then over runs.
    """
    runs = [list(run) for _, run in groupby(series, key=lambda frame: frame.in_truth)][1:]
    scores: ObjectScores = {
        "J": fmean(frame.J for frame in series) if series else 0.0,
        "F_adaptive": fmean(frame.F_adaptive for frame in series) if series else 0.0,
        "F": fmean(frame.F for frame in series) if series else 0.0,
    }
    for name, present in (("disappear", False), ("reappear", True)):
        chosen = [run for run in runs if run[0].in_truth is present]
        j = [fmean(frame.J for frame in run) for run in chosen]
        f = [fmean(frame.F_adaptive for frame in run) for run in chosen]
        scores[f"J_{name}"] = fmean(j) if j else None
        scores[f"F_{name}"] = fmean(f) if f else None
    return _combine(scores)
