"""Boxes of masks, and a filter that foresees them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, the last two exclusive."""


def box_of(mask: np.ndarray) -> Box | None:
    """The box of a mask ``(h, w) bool``, or None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def box_iou(one: Box | None, other: Box | None) -> float:
    """IoU of two boxes; 0 where one is missing."""
    if one is None or other is None:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


POSITION_NOISE, SPEED_NOISE = 1 / 20, 1 / 160
"""Standard deviations per frame in heights of the box (SORT with appearance, Wojke et al. 2017)."""


@dataclass(frozen=True)
class BoxFilter:
    """A Kalman filter of constant speed on centre and size of a box.

    The four coordinates are independent and have the same noise, so one covariance serves all.

    state        ``(2, 4)``: centre, width and height, and how they change per frame
    covariance   ``(2, 2)`` of a coordinate and its speed
    """

    state: np.ndarray
    covariance: np.ndarray

    @classmethod
    def started(cls, box: Box) -> BoxFilter:
        """At rest, and not sure of it."""
        coordinates = _coordinates(box)
        height = max(coordinates[3], 1.0)
        deviation = np.array([2 * POSITION_NOISE, 10 * SPEED_NOISE]) * height
        return cls(np.stack([coordinates, np.zeros(4)]), np.diag(deviation**2))

    def predicted(self) -> BoxFilter:
        """One frame later."""
        step = np.array([[1.0, 1.0], [0.0, 1.0]])
        noise = np.diag((np.array([POSITION_NOISE, SPEED_NOISE]) * self._height) ** 2)
        return replace(
            self, state=step @ self.state, covariance=step @ self.covariance @ step.T + noise
        )

    def updated(self, box: Box) -> BoxFilter:
        """After a box was seen on this frame."""
        seen = self.covariance[0, 0] + (POSITION_NOISE * self._height) ** 2
        gain = self.covariance[:, :1] / seen
        state = self.state + gain * (_coordinates(box) - self.state[0])
        return BoxFilter(state, self.covariance - gain @ self.covariance[:1])

    @property
    def box(self) -> Box:
        """Where it takes the object to be."""
        x, y, width, height = self.state[0]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    @property
    def _height(self) -> float:
        return max(float(self.state[0, 3]), 1.0)


def _coordinates(box: Box) -> np.ndarray:
    left, top, right, bottom = box
    return np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
