"""STAPLE: the hidden truth behind several raters' binary masks (Warfield et al. 2004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

START = 0.99999
"""Sensitivity and specificity to begin with, as in ITK's implementation."""


@dataclass(frozen=True)
class Estimate:
    """What `estimate_truth` found.

    truth         ``(P,) float64`` probability that the pixel belongs to the object
    sensitivity   ``(M,)`` P(rater says yes | true)
    specificity   ``(M,)`` P(rater says no | false)
    iterations    until nothing moved any more
    """

    truth: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray
    iterations: int


def estimate_truth(
    decisions: np.ndarray, iterations: int = 100, tolerance: float = 1e-10
) -> Estimate:
    """Expectation maximisation over ``(M, P) bool`` decisions of M raters on P pixels.

    The prior of a pixel is the share of yes among all decisions (Eq. 10 with one global
    prior). Pixels with the same decisions share one truth, so the work is that of at most
    2^M patterns, however many pixels there are. Without pixels, or where all raters say the
    same everywhere, that is the answer.
    """
    members, pixels = decisions.shape
    share = float(decisions.mean()) if pixels else 0.0
    sensitivity = np.full(members, START)
    specificity = np.full(members, START)
    if share in (0.0, 1.0):
        return Estimate(np.full(pixels, share), sensitivity, specificity, 0)
    packed = np.packbits(decisions, axis=0)
    patterns, inverse, counts = np.unique(packed, axis=1, return_inverse=True, return_counts=True)
    yes = np.unpackbits(patterns, axis=0, count=members).astype(bool)
    truth = np.zeros(yes.shape[1])
    step = 0
    while step < iterations:
        step += 1
        p, q = sensitivity[:, None], specificity[:, None]
        true = share * np.where(yes, p, 1 - p).prod(axis=0)
        false = (1 - share) * np.where(yes, 1 - q, q).prod(axis=0)
        truth = true / np.maximum(true + false, 1e-300)
        inside, outside = counts * truth, counts * (1 - truth)
        new_p = (yes @ inside) / max(inside.sum(), 1e-300)
        new_q = (~yes @ outside) / max(outside.sum(), 1e-300)
        moved = max(np.abs(new_p - sensitivity).max(), np.abs(new_q - specificity).max())
        sensitivity, specificity = new_p, new_q
        if moved < tolerance:
            break
    return Estimate(truth[inverse.reshape(-1)], sensitivity, specificity, step)
