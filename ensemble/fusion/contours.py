"""Contours: where members differ by a thin line, the better ones decide alone.

Many members outvote a good one on where an object is, and are right; but the mean of many outlines
loses the fine detail that the best of them has. So two votes are held, one by the members' weights
and one by their squares, and the second stands wherever the two differ by less than three pixels
in height or width.
"""

from __future__ import annotations

import cv2
import numpy as np

from ensemble.fusion.rules import bounded, weighted_mean

THICK = np.ones((3, 3), np.uint8)
"""What has to fit into a difference that is more than a matter of contours."""


def sharper_vote(
    probabilities: np.ndarray, fused: np.ndarray, weights: np.ndarray, copies: np.ndarray
) -> np.ndarray:
    """``(N, P)`` fused probabilities by squared weights; 0 for an object of which ``fused``
    ``(N, P)`` has nothing.

    probabilities   ``(M, N, P)``
    weights         ``(M, N)``, already shared among ``copies`` ``(M,)``, see `Views`
    """
    squared = weights**2 * copies[:, None]
    return bounded(weighted_mean(probabilities, squared) * fused.any(axis=1, keepdims=True))


def with_contours(
    by_weights: np.ndarray, sharper: np.ndarray, at: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """``(P,) uint8``: the first of two votes where it differs from the second by more than a thin
    line, else the second.

    at      ``(P,) int``: the pixels that were voted on, counted row by row
    shape   (height, width) of the plane that they lie in; elsewhere the votes are the same
    """
    differ = np.zeros(shape, np.uint8)
    differ.reshape(-1)[at[by_weights != sharper]] = 1
    thick = cv2.morphologyEx(differ, cv2.MORPH_OPEN, THICK)
    return np.where(thick.reshape(-1)[at] > 0, by_weights, sharper)
