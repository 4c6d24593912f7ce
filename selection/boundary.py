"""Boundary F-measure of binary masks (Perazzi et al., DAVIS, CVPR 2016, section 4).

F is the harmonic mean of precision and recall of boundary pixels, where a boundary pixel
is matched if the other boundary has a pixel within a tolerance. The public evaluators
dilate both boundaries with a disk; here each boundary pixel asks an integral image
whether the disk around it holds a pixel of the other boundary, which gives the same
counts for a fraction of the work: boundaries are thin.
"""

from __future__ import annotations

from functools import cache, cached_property

import cv2
import numpy as np

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; bottom and right are exclusive."""

DIAGONAL_SHARE = 0.008
"""Tolerance as a share of the image diagonal (DAVIS)."""

AREA_SHARE = 0.1
"""Tolerance as a share of the square root of the object's area (MOSEv2)."""

_SQUARE = np.ones((2, 2), np.uint8)


def diagonal_tolerance(height: int, width: int) -> float:
    """The MOSEv2 limit of the tolerance, in pixels: 0.008 of the diagonal, not rounded."""
    return float(DIAGONAL_SHARE * np.linalg.norm((height, width)))


def davis_tolerance(height: int, width: int) -> float:
    """The DAVIS tolerance in whole pixels: 0.008 of the diagonal, rounded up."""
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


@cache
def disk(radius: float) -> np.ndarray:
    """Offsets ``(n, 2)`` (dy, dx) of the disk that the public evaluators dilate with.

    They sample the disk at ``-radius, 1 - radius, ...`` and put the middle sample on the
    pixel, so with a radius that is not whole the disk is off centre by part of a pixel.
    A disk so small that it holds no sample at all counts as its first one, as it does in
    OpenCV's dilation.
    """
    samples = np.arange(-radius, radius + 1)
    inside = samples[:, None] ** 2 + samples[None] ** 2 <= radius**2
    if not inside.any():
        inside[0, 0] = True
    return np.argwhere(inside) - len(samples) // 2


@cache
def _rectangles(radius: float) -> tuple[Box, ...]:
    """Rectangles whose union is `disk`, as boxes of offsets, the largest first.

    The rows of a disk are nested intervals, so every row spans one rectangle with all
    the rows that are at least as wide.
    """
    rows: dict[int, tuple[int, int]] = {}
    for dy, dx in disk(radius).tolist():
        first, _ = rows.get(dy, (dx, dx))
        rows[dy] = (first, dx)
    boxes = set()
    for left, right in rows.values():
        wide = [dy for dy, (first, last) in rows.items() if first <= left and last >= right]
        boxes.add((min(wide), left, max(wide) + 1, right + 1))
    return tuple(sorted(boxes, key=lambda box: -min(box[2] - box[0], box[3] - box[1])))


class Boundary:
    """The boundary pixels of one object, ready to be matched many times.

    A pixel is on the boundary if it differs from its right, lower or lower right
    neighbour in belonging to the object; beyond the frame the mask goes on as it ends, so
    there is no boundary along the frame's edge (and none at all if the mask fills it).

    mask       ``(h, w)`` bool, or uint8 with one value besides 0: the whole frame, or a crop
               that holds the object and one pixel more on each side, as far as the frame goes
    top, left  where the crop lies in the frame
    margin     the largest tolerance that will be asked for, in whole pixels
    """

    def __init__(self, mask: np.ndarray, top: int = 0, left: int = 0, *, margin: int):
        self._map = cv2.morphologyEx(
            np.ascontiguousarray(mask).view(np.uint8),
            cv2.MORPH_GRADIENT,
            _SQUARE,
            anchor=(0, 0),
            borderType=cv2.BORDER_REPLICATE,
        )
        self._top, self._left, self._margin = top, left, margin

    @cached_property
    def _pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the frame of every boundary pixel, ``(n,)`` each."""
        rows, columns = np.divmod(np.flatnonzero(self._map != 0), self._map.shape[1])
        return rows + self._top, columns + self._left

    @cached_property
    def _sums(self) -> np.ndarray:
        """Integral image of the boundary, with room for every disk that can touch it."""
        room = 2 * self._margin
        padded = cv2.copyMakeBorder(self._map, room, room, room, room, cv2.BORDER_CONSTANT, value=0)
        return cv2.integral((padded != 0).view(np.uint8))

    def __len__(self) -> int:
        """The number of boundary pixels."""
        return len(self._pixels[0])

    def matches(self, other: Boundary, tolerance: float) -> int:
        """How many of ``other``'s pixels have one of this boundary within ``tolerance``."""
        if tolerance > self._margin:
            raise ValueError(f"tolerance {tolerance} is larger than the margin {self._margin}")
        reach = self._margin
        rows = other._pixels[0] - (self._top - reach)
        columns = other._pixels[1] - (self._left - reach)
        height, width = self._map.shape
        near = (rows >= 0) & (rows < height + 2 * reach)
        near &= (columns >= 0) & (columns < width + 2 * reach)
        stride = self._sums.shape[1]
        open_ = ((rows + reach) * stride + columns + reach)[near]
        total = len(open_)
        sums = self._sums.reshape(-1)
        for top, left, bottom, right in _rectangles(tolerance):
            if not len(open_):
                break
            count = sums[open_ + (bottom * stride + right)] - sums[open_ + (bottom * stride + left)]
            count += sums[open_ + (top * stride + left)] - sums[open_ + (top * stride + right)]
            open_ = open_[count == 0]
        return total - len(open_)


def boundary_f(prediction: Boundary, truth: Boundary, tolerance: float) -> float:
    """Boundary F-measure in [0, 1]; 1 if both have no boundary, 0 if one has none."""
    predicted, true = len(prediction), len(truth)
    if not predicted or not true:
        return float(predicted == true)
    precision = truth.matches(prediction, tolerance) / predicted
    recall = prediction.matches(truth, tolerance) / true
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)
