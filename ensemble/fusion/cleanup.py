"""Morphological clean-up that does no harm.

FVOS closes the gaps between touching objects and small holes. Here the cleaned mask of an
object is kept only where the members, by their weights, agree with it at least as much as
with the mask before; so a unanimous mask is never touched.
"""

from __future__ import annotations

import cv2
import numpy as np


def clean_up(
    decided: np.ndarray, choices: np.ndarray, weights: np.ndarray, count: int, radius: int
) -> np.ndarray:
    """Close gaps and holes of each object.

    decided   ``(h, w) uint8`` position of the object of each pixel, ``count``: background
    choices   ``(M, h, w) uint8`` the members' own
    weights   ``(M,)``
    radius    of the disk, in pixels; only background pixels are ever given to an object
    """
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    cleaned = decided.copy()
    for position in range(count):
        mask = cleaned == position
        if not mask.any():
            continue
        padded = np.pad(mask.astype(np.uint8), radius)
        closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disk)[radius:-radius, radius:-radius]
        grown = mask | ((closed > 0) & (cleaned == count))
        before = _support(mask, choices == position, weights)
        if grown.sum() > mask.sum() and _support(grown, choices == position, weights) >= before:
            cleaned[grown] = position
    return cleaned


def _support(mask: np.ndarray, members: np.ndarray, weights: np.ndarray) -> float:
    """Weighted sum of the IoU of ``mask`` with each member's."""
    shared = (members & mask).sum(axis=(1, 2))
    union = (members | mask).sum(axis=(1, 2))
    return float((weights * shared / np.maximum(union, 1)).sum())
