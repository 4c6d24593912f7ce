"""STAPLE: the hidden truth behind several raters' binary masks (Warfield et al. 2004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

START = 0.99999
"""Sensitivity and specificity to begin with, as in ITK's implementation."""

CLOSEST = 1e-15
"""How close to 0 and 1 both may come: a rater that was never wrong may be wrong on one pixel."""


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
        truth = expit(logit(share) + evidence(yes, sensitivity, specificity))
        new_sensitivity = shares(yes, counts * truth)
        new_specificity = shares(~yes, counts * (1 - truth))
        moved = max(
            np.abs(new_sensitivity - sensitivity).max(), np.abs(new_specificity - specificity).max()
        )
        sensitivity, specificity = new_sensitivity, new_specificity
        if moved < tolerance:
            break
    return Estimate(truth[inverse.reshape(-1)], sensitivity, specificity, step)


def evidence(yes: np.ndarray, sensitivity: np.ndarray, specificity: np.ndarray) -> np.ndarray:
    """``(K,)`` log likelihood ratio, true against false, of K patterns ``(M, K) bool``.

    In logarithms, the products over many raters neither vanish nor overflow.
    """
    p = sensitivity.clip(CLOSEST, 1 - CLOSEST)[:, None]
    q = specificity.clip(CLOSEST, 1 - CLOSEST)[:, None]
    said_yes, said_no = np.log(p) - np.log1p(-q), np.log1p(-p) - np.log(q)
    return np.where(yes, said_yes, said_no).sum(axis=0)


def shares(said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``(M,)`` weighted share of the patterns ``(M, K) bool`` that each rater has; 0 of nothing."""
    # Rounding may make a sum a little larger than the whole.
    return ((said @ weights) / max(weights.sum(), 1e-300)).clip(0.0, 1.0)
