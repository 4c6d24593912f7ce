"""Fusion rules: what the members say of some pixels -> the probabilities of the pseudo-label.

Pure functions. The first axes of a rule's arrays are members (M) and objects (N); the others are
pixels. `ensemble.fusion.frame` calls a rule with the pixels on which members differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ensemble.fusion.staple import estimate_truth
from stseg.config import option

MIN_CONFIDENCE = 0.05
"""A member without any confidence still keeps this much of its weight."""


@dataclass(frozen=True)
class FusionOptions:
    """Options of the rules."""

    rule: str = option("pgmr", doc="One of `RULES`.", choices=lambda: RULES)
    agreement_iou: float = option(
        0.5,
        doc="`pgmr`: members whose masks of an object overlap at least this much (IoU) "
        "agree on it.",
        least=0,
        most=1,
    )
    absent_by: int = option(
        3,
        doc="An object of which this many members see nothing is absent from a frame, in what "
        "`pgmr` fuses and whatever is selected; members of little trust do not count, "
        "copies count once; 0: never.",
        least=0,
    )
    gate_margin: float = option(
        0.1,
        doc="`pgmr`: how far the gate reaches beyond the weighted average of the members' "
        "boxes, in box heights and widths.",
        least=0,
    )
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
    copies       ``(M,) int64`` how many members, itself included, say exactly the same of the
                 frame: together they weigh as much as one
    trust        ``(M, N) float64`` in (0, 1]: how far each member is believed about each object
    """

    priors: np.ndarray
    confidence: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray
    copies: np.ndarray
    trust: np.ndarray


@dataclass(frozen=True)
class Points:
    """What the members say of some pixels.

    probabilities   ``(M, N, P) float32``
    choices         ``(M, P) uint8`` position of the object that each member gives the pixel
                    to, N for the background
    rows, columns   ``(P,)`` coordinates in the frame
    """

    probabilities: np.ndarray
    choices: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


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
    top, bottom, left, right = np.moveaxis(views.boxes[..., None], 2, 0)
    inside = (points.rows >= top) & (points.rows < bottom)
    inside &= (points.columns >= left) & (points.columns < right)
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
    """Pseudo-label-guided refinement: consistency, confidence, presence, gate, weighted vote."""
    prior = _by_prior(views)
    kept = consistent(views.overlaps, prior, options.agreement_iou)
    weights = prior * np.maximum(views.confidence, MIN_CONFIDENCE) * kept
    fused = weighted_mean(points.probabilities, weights)
    seen = visible(views.areas, weights) & ~absent(views, options.absent_by)
    fused *= seen[:, None]
    fused *= gate(views, weights, points, options.gate_margin)
    return bounded(fused), weights


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


def consistent(overlaps: np.ndarray, weights: np.ndarray, agreement_iou: float) -> np.ndarray:
    """Consistency check: ``(M, N) bool``, False for members left out of an object.

    Per object, the members that agree with the medoid (the member of largest weighted
    overlap with the others) form a group. If the group holds more than half of the weight,
    the members outside it are left out.

    overlaps   ``(N, M, M)`` IoU;  weights   ``(M, N)``
    """
    support = np.einsum("nab,bn->an", overlaps, weights)
    medoid = support.argmax(axis=0)
    group = agreement_iou <= overlaps[np.arange(len(overlaps)), medoid].T
    majority = (weights * group).sum(axis=0) > 0.5 * weights.sum(axis=0)
    return group | ~majority


def visible(areas: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Presence vote: ``(N,) bool``, True where at least half of the weight sees the object."""
    return (weights * (areas > 0)).sum(axis=0) >= 0.5 * np.maximum(weights.sum(axis=0), 1e-12)


def absent(views: Views, absent_by: int) -> np.ndarray:
    """``(N,) bool``, True where at least ``absent_by`` members that are believed see nothing.

    Most members keep some mask when an object leaves, and together they outweigh those that notice.
    If three of seven say so and are wrong, the masks of the others are hardly ever right either.
    """
    if not absent_by:
        return np.zeros(views.areas.shape[1], dtype=bool)
    votes = ((views.areas == 0) & (views.trust >= 1)) / views.copies[:, None]
    return votes.sum(axis=0) >= absent_by - 1e-9


def gate(views: Views, weights: np.ndarray, points: Points, margin: float) -> np.ndarray:
    """``(N, P) bool``: pixels inside the weighted average of the members' boxes.

    Members that do not see the object have no box and do not count here. The average is widened
    by ``margin`` of its own size on each side.
    """
    say = weights * (views.areas > 0)
    total = say.sum(axis=0)
    mean = np.einsum("mnk,mn->nk", views.boxes.astype(np.float64), say)
    top, bottom, left, right = (mean / np.maximum(total, 1e-12)[:, None]).T[:, :, None]
    down, across = margin * (bottom - top), margin * (right - left)
    inside = (points.rows >= top - down) & (points.rows < bottom + down)
    return inside & (points.columns >= left - across) & (points.columns < right + across)


def _by_prior(views: Views) -> np.ndarray:
    return (prior_weights(views.priors) / views.copies)[:, None] * views.trust


def _one_hot(choices: np.ndarray, count: int) -> np.ndarray:
    hot = choices[:, None] == np.arange(count).reshape(-1, *(1,) * (choices.ndim - 1))
    return hot.astype(np.float32)
