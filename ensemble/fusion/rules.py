"""Fusion rules: what the members say of some pixels -> the probabilities of the pseudo-label.

Pure functions. The first axes of a rule's arrays are members (M) and objects (N); the others are
pixels. `ensemble.fusion.frame` calls a rule with the pixels on which members differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ensemble.fusion.staple import estimate_truth
from stseg.config import option

MIN_CONFIDENCE = 0.05
"""A member without any confidence still keeps this much of its weight."""


@dataclass(frozen=True)
class FusionOptions:
    """Options of the rules."""

    rule: str = option("pgmr", doc="How the members' masks are fused.", choices=lambda: RULES)
    sure: float = option(
        0.75,
        doc="`pixel-check`: the first member keeps the pixels on which its largest "
        "probability (background included) is at least this.",
        least=0,
        most=1,
    )
    clean_radius: int = option(
        0,
        doc="Close gaps and holes up to this many pixels across per object, where that does "
        "no harm; 0: leave them.",
        least=0,
    )


@dataclass(frozen=True)
class Views:
    """What the members say of a frame as a whole.

    priors       ``(M,) float64`` expected J&F of each member in (0, 1)
    confidence   ``(M, N) float32`` in [0, 1]
    areas        ``(M, N) int64`` pixels of each mask
    boxes        ``(M, N, 4) int64`` top, bottom, left, right, half open; zeros where empty
    overlaps     ``(N, M, M) float64`` IoU of the members' masks; 1 where both are empty
    copies       ``(M,) int64`` size of the member's cluster, itself included: its members have
                 the say of one together
    say          ``(M, N) float64`` of each member about each object, by its quality
    absent       ``(N,) bool``: the objects that count as absent, see
                 `selection.quality.QualityTrack`
    """

    priors: np.ndarray
    confidence: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray
    copies: np.ndarray
    say: np.ndarray
    absent: np.ndarray


@dataclass(frozen=True)
class Points:
    """What the members say of some pixels.

    expand          gives the `probabilities`, which not every rule needs
    choices         ``(M, P) uint8`` position of the object that each member gives the pixel
                    to, N for the background
    rows, columns   ``(P,)`` coordinates in the frame
    """

    expand: Callable[[], np.ndarray]
    choices: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @cached_property
    def probabilities(self) -> np.ndarray:
        """``(M, N, P) float32``, computed once."""
        return self.expand()


Rule = Callable[[Views, Points, FusionOptions], tuple[np.ndarray, np.ndarray]]
"""(views, points, options) -> fused probabilities ``(N, P)`` and weights ``(M, N)``."""


def prior_weights(priors: np.ndarray) -> np.ndarray:
    """The weight of a member with the expected J&F p: the odds p / (1 - p).

    It grows faster than p, because members are very unequal, and a vote of equals loses to the best
    member.
    """
    p = np.clip(np.asarray(priors, dtype=np.float64), 0.01, 0.99)
    return p / (1.0 - p)


def average(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability, weighted by priors."""
    weights = _by_prior(views)
    return weighted_mean(points.probabilities, weights), weights


def maximum(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Largest probability of any member, without weights (STSeg's comparison "max").

    The background competes as one more class, by the largest background of any member.
    """
    weights = np.ones_like(_by_prior(views))
    background = (1.0 - points.probabilities.sum(axis=1)).max(axis=0)
    best = points.probabilities.max(axis=0)
    return best / np.maximum(best.sum(axis=0) + background, 1e-6), weights


def vote(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Share of the members that give the pixel to the object; one member, one vote."""
    weights = np.ones_like(_by_prior(views))
    return weighted_mean(_one_hot(points.choices, views.areas.shape[1]), weights), weights


def boxes(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Each mask becomes its filled bounding box, then the boxes are averaged by priors."""
    weights = _by_prior(views)
    top, bottom, left, right = np.moveaxis(views.boxes[..., None], 2, 0).astype(np.int32)
    rows, columns = points.rows.astype(np.int32), points.columns.astype(np.int32)
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    fused = weighted_mean(inside.astype(np.float32), weights)
    return bounded(fused), weights


def staple(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """STAPLE (Warfield et al. 2004) per object, on the disputed pixels only.

    Each member's sensitivity and specificity are estimated from the members themselves, without the
    priors. On the whole frame the background would dominate both.
    """
    count = views.areas.shape[1]
    chosen = _one_hot(points.choices, count) > 0
    fused = np.stack([estimate_truth(chosen[:, n]).truth for n in range(count)])
    return bounded(fused), np.ones_like(_by_prior(views))


def pixel_check(
    views: Views, points: Points, options: FusionOptions
) -> tuple[np.ndarray, np.ndarray]:
    """The member with the best prior, replaced by the weighted mean of all members where it is
    unsure."""
    weights = _by_prior(views) * np.maximum(views.confidence, MIN_CONFIDENCE)
    first = points.probabilities[int(views.priors.argmax())]
    background = 1.0 - first.sum(axis=0)
    sure = np.maximum(first.max(axis=0), background) >= options.sure
    return bounded(np.where(sure, first, weighted_mean(points.probabilities, weights))), weights


def pgmr(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-label-guided refinement: consistency, confidence, presence, weighted vote.

    The consistency check is in the members' say, see `selection.quality`: who disagrees with the
    others' vote has little of it.
    """
    weights = (views.say / views.copies[:, None]) * np.maximum(views.confidence, MIN_CONFIDENCE)
    fused = weighted_mean(points.probabilities, weights)
    return bounded(fused * ~views.absent[:, None]), weights


RULES: dict[str, Rule] = {
    "average": average,
    "max": maximum,
    "vote": vote,
    "boxes": boxes,
    "staple": staple,
    "pixel-check": pixel_check,
    "pgmr": pgmr,
}
EVERY_PIXEL = ("boxes",)
"""Rules that may change pixels on which all members agree."""
CONTOURS = ("pgmr",)
"""Rules whose contours are settled by `ensemble.fusion.contours`."""


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``(M, N, ...)`` values, ``(M, N)`` weights -> ``(N, ...)`` float32."""
    total = np.maximum(weights.sum(axis=0), 1e-12)
    share = (weights / total).astype(np.float32)
    return np.einsum("mn...,mn->n...", values, share)


def bounded(fused: np.ndarray) -> np.ndarray:
    """``(N, P)`` probabilities scaled down where they sum to more than 1 over objects.

    Weights differ by object, so the mean of distributions need not be a distribution.
    """
    return fused / np.maximum(fused.sum(axis=0), 1.0)


def _by_prior(views: Views) -> np.ndarray:
    weights = (prior_weights(views.priors) / views.copies)[:, None]
    return np.broadcast_to(weights, views.areas.shape)


def _one_hot(choices: np.ndarray, count: int) -> np.ndarray:
    hot = choices[:, None] == np.arange(count).reshape(-1, *(1,) * (choices.ndim - 1))
    return hot.astype(np.float32)
