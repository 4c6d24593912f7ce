"""Filling small holes in masks without a compiled extension."""

from __future__ import annotations

import cv2
import numpy as np

FILLED_LOGIT = 0.1
"""What the package gives the pixels of a filled hole: barely foreground."""


def fill_holes(logits: np.ndarray, area: int) -> np.ndarray:
    """Logits ``(..., h, w) float32`` with small holes filled; the input is left as it is.

    A hole is an 8-connected component of pixels with logits of 0 or less and of at most
    ``area`` pixels, as in the package's ``fill_hole_area``; its pixels become 0.1.
    """
    planes = logits.reshape(-1, *logits.shape[-2:])
    filled = planes.copy()
    for source, target in zip(planes, filled, strict=True):
        background = (source <= 0).astype(np.uint8)
        _, components, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8)
        small = stats[:, cv2.CC_STAT_AREA] <= area
        small[0] = False  # component 0 is the foreground
        target[small[components]] = FILLED_LOGIT
    return filled.reshape(logits.shape)
