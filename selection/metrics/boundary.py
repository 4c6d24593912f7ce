"""Boundary F-measure of binary masks (Perazzi et al., DAVIS, CVPR 2016, section 4).

F is the harmonic mean of precision and recall of boundary pixels, where a boundary pixel
is matched if the other boundary has a pixel within a tolerance. Like the public
evaluators this dilates both boundaries with a disk, but on bits, and only where a smaller
shape inside the disk leaves pixels unmatched.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from selection.metrics.bits import BitPlane, Interval, Offsets

DIAGONAL_SHARE = 0.008
"""Tolerance as a share of the image diagonal (DAVIS)."""

AREA_SHARE = 0.1
"""Tolerance as a share of the square root of the object's area (MOSEv2)."""


def diagonal_tolerance(height: int, width: int) -> float:
    """The largest tolerance of MOSEv2, in pixels: 0.008 of the diagonal, not rounded."""
    return float(DIAGONAL_SHARE * np.linalg.norm((height, width)))


def davis_tolerance(height: int, width: int) -> float:
    """The tolerance of DAVIS, in pixels: 0.008 of the diagonal, rounded up."""
    return float(np.ceil(diagonal_tolerance(height, width)))


def mosev2_tolerances(height: int, width: int, area: int) -> tuple[float, float]:
    """The tolerances of MOSEv2's F and adaptive F for a true mask of ``area`` pixels.

    On large objects, where a tenth of the square root of the area is not the smaller of
    the two, both are the diagonal's, and not rounded.
    """
    limit = diagonal_tolerance(height, width)
    adaptive = float(np.ceil(AREA_SHARE * np.sqrt(area)))
    if area and adaptive < limit:
        return davis_tolerance(height, width), adaptive
    return limit, limit


FEW = 500
"""Up to so many pixels are looked up one by one in less time than a dilation takes: 0.1 and 0.4 ms
for 60 of them around an object of 400 pixels, both 0.4 ms for 800."""


@cache
def disk(radius: float) -> Offsets:
    """The disk that the public evaluators dilate with, as offsets by row.

    They sample it at ``-radius, 1 - radius, ...`` and put the middle sample on the pixel,
    so with a radius that is not whole the disk is off centre by part of a pixel. A disk
    so small that it holds no sample counts as its first one, as in OpenCV's dilation.
    """
    samples = np.arange(-radius, radius + 1)
    inside = samples[:, None] ** 2 + samples[None] ** 2 <= radius**2
    if not inside.any():
        inside[0, 0] = True
    middle = len(samples) // 2
    rows: dict[int, Interval] = {}
    for row in np.flatnonzero(inside.any(axis=1)):
        columns = np.flatnonzero(inside[row]) - middle
        rows[int(row) - middle] = (int(columns[0]), int(columns[-1]))
    return rows


@cache
def core(radius: float) -> Offsets:
    """The rectangle in `disk` with the largest shorter side: quick to dilate with."""
    rows = disk(radius)

    def spanned(interval: Interval) -> list[int]:
        return [row for row, (a, b) in rows.items() if a <= interval[0] and interval[1] <= b]

    best = max(rows.values(), key=lambda i: min(len(spanned(i)), i[1] - i[0] + 1))
    return dict.fromkeys(spanned(best), best)


class Boundary:
    """The boundary of one object on one frame; remembers what it was dilated to.

    A pixel is on the boundary if it differs from its right, lower or lower right
    neighbour in belonging to the object. Beyond the frame the mask goes on as it ends, so
    there is no boundary along the frame's edge, and none at all if the mask fills it.
    """

    def __init__(self, mask: BitPlane, height: int, width: int):
        """``mask`` is placed as `BitPlane.boundary` wants it, in a frame of ``height x width``."""
        self.plane = mask.boundary(height, width)
        self._length = len(self.plane)
        self._cores: dict[float, BitPlane] = {}

    @classmethod
    def of(cls, mask: np.ndarray) -> Boundary:
        """From a whole frame, ``(H, W)`` bool."""
        return cls(BitPlane.pack(np.asarray(mask, np.bool_)), *mask.shape)

    def __len__(self) -> int:
        """The number of boundary pixels."""
        return self._length

    def matches(self, other: Boundary, tolerance: float) -> int:
        """How many of ``other``'s pixels have one of this boundary within ``tolerance``."""
        if tolerance not in self._cores:
            self._cores[tolerance] = self.plane.dilate(core(tolerance))
        rest = other.plane.without(self._cores[tolerance])
        unmatched = len(rest)
        if unmatched:
            rows, columns = rest.words.shape
            reach = int(np.ceil(tolerance))
            side = -(-reach // 64)
            near = self.plane.crop(
                rest.top - reach,
                rest.first - side,
                rest.top + rows + reach,
                rest.first + columns + side,
            )
            if unmatched <= FEW and reach < 32:
                unmatched -= near.reached_from(rest, disk(tolerance))
            else:
                unmatched -= near.dilate(disk(tolerance)).common(rest)
        return len(other) - unmatched


def boundary_f(prediction: Boundary, truth: Boundary, tolerance: float) -> float:
    """Boundary F-measure in [0, 1]; 1 if both have no boundary, 0 if one has none."""
    if prediction is truth:
        return 1.0
    predicted, true = len(prediction), len(truth)
    if not predicted or not true:
        return float(predicted == true)
    precision = truth.matches(prediction, tolerance) / predicted
    recall = prediction.matches(truth, tolerance) / true
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)
