"""Fusion rules: the masks of all members on one frame -> the pseudo-label of that frame.

Pure functions. A rule sees arrays whose first axes are members (M) and objects (N); whatever
follows is pixels, so the same code works on ``(M, N, height, width)`` maps and on
``(M, N, P)`` values at chosen pixels. `fuse_frame` uses the second form: where the members'
ids agree their common answer stands under every rule but `boxes` (a pixel whose largest
probability is object k in each member has k as its largest weighted mean, maximum and vote),
so only the disputed pixels are expanded from the members' soft masks and put to the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from adapters.base import FrameMasks
from ensemble.cleanup import clean_up
from ensemble.staple import estimate_truth

MIN_CONFIDENCE = 0.05
"""A member that is sure of nothing still has a small say."""


@dataclass(frozen=True)
class FusionOptions:
    """Options of the rules.

    rule            one of `RULES`
    agreement_iou   `pgmr`: members whose masks of an object overlap at least this much
                    (IoU) agree on it
    gate_margin     `pgmr`: how far the gate reaches beyond the weighted average of the
                    members' boxes, in box heights and widths
    sure            `pixel-check`: the first member keeps the pixels on which its largest
                    probability (background included) is at least this
    clean_radius    close gaps and holes up to this many pixels across per object, where that
                    does no harm; 0: leave them
    """

    rule: str = "pgmr"
    agreement_iou: float = 0.5
    gate_margin: float = 0.1
    sure: float = 0.75
    clean_radius: int = 0


@dataclass(frozen=True)
class Views:
    """What the members say of a frame as a whole.

    priors       ``(M,) float64`` expected J&F of each member in (0, 1)
    confidence   ``(M, N) float32`` in [0, 1]
    areas        ``(M, N) int64`` pixels of each mask
    boxes        ``(M, N, 4) int64`` top, bottom, left, right, half open; zeros where empty
    overlaps     ``(N, M, M) float64`` IoU of the members' masks; 1 where both are empty
    """

    priors: np.ndarray
    confidence: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray
    overlaps: np.ndarray


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


@dataclass(frozen=True)
class Fused:
    """The pseudo-label of one frame.

    ids        ``(height, width) uint8``
    areas      ``(M + 1, N) int64`` pixels of each member's masks, then of the pseudo-label's
    weights    ``(M, N) float64``: the say that each member had, 0 where it was left out
    disputed   share of the pixels inside the joint box on which members differ
    overlaps   ``(N, M, M) float64`` IoU of the members' masks with each other
    """

    ids: np.ndarray
    areas: np.ndarray
    weights: np.ndarray
    disputed: float
    overlaps: np.ndarray


Rule = Callable[[Views, Points, FusionOptions], tuple[np.ndarray, np.ndarray]]
"""(views, points, options) -> fused probabilities ``(N, P)`` and weights ``(M, N)``."""


def prior_weights(priors: np.ndarray) -> np.ndarray:
    """The say of a member by its expected J&F p: the odds p / (1 - p).

    Grows faster than p: members are very unequal, and a vote of equals loses to the best.
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
    return fused / np.maximum(fused.sum(axis=0), 1.0), weights


def staple(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """STAPLE (Warfield et al. 2004) per object, on the disputed pixels only.

    Each member's sensitivity and specificity are estimated from the members themselves; the
    priors have no say. On the whole frame the background would drown both.
    """
    count = views.areas.shape[1]
    chosen = _one_hot(points.choices, count) > 0
    fused = np.stack([estimate_truth(chosen[:, n]).truth for n in range(count)])
    return fused / np.maximum(fused.sum(axis=0), 1.0), np.ones_like(_by_prior(views))


def pixel_check(
    views: Views, points: Points, options: FusionOptions
) -> tuple[np.ndarray, np.ndarray]:
    """The member of the best prior, refined by the weighted mean of all where it is unsure."""
    weights = _by_prior(views) * np.maximum(views.confidence, MIN_CONFIDENCE)
    first = points.probabilities[int(views.priors.argmax())]
    background = 1.0 - first.sum(axis=0)
    sure = np.maximum(first.max(axis=0), background) >= options.sure
    return np.where(sure, first, weighted_mean(points.probabilities, weights)), weights


def pgmr(views: Views, points: Points, options: FusionOptions) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-label-guided refinement: consistency, confidence, presence, gate, weighted vote."""
    prior = _by_prior(views)
    kept = consistent(views.overlaps, prior, options.agreement_iou)
    weights = prior * np.maximum(views.confidence, MIN_CONFIDENCE) * kept
    fused = weighted_mean(points.probabilities, weights)
    fused *= visible(views.areas, weights)[:, None]
    fused *= gate(views, weights, points, options.gate_margin)
    return fused, weights


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


def gate(views: Views, weights: np.ndarray, points: Points, margin: float) -> np.ndarray:
    """``(N, P) bool``: pixels inside the weighted average of the members' boxes.

    Members that do not see the object have no box and no say here. The average is widened
    by ``margin`` of its own size on each side.
    """
    say = weights * (views.areas > 0)
    total = say.sum(axis=0)
    mean = np.einsum("mnk,mn->nk", views.boxes.astype(np.float64), say)
    top, bottom, left, right = (mean / np.maximum(total, 1e-12)[:, None]).T[:, :, None]
    down, across = margin * (bottom - top), margin * (right - left)
    inside = (points.rows >= top - down) & (points.rows < bottom + down)
    return inside & (points.columns >= left - across) & (points.columns < right + across)


def fuse_frame(
    frames: Sequence[FrameMasks],
    priors: np.ndarray,
    object_ids: tuple[int, ...],
    height: int,
    width: int,
    options: FusionOptions | None = None,
) -> Fused:
    """Fuse the members' masks of one frame at ``height`` x ``width``.

    frames       one per member, all of the same frame
    priors       ``(M,)`` expected J&F of each member, in (0, 1)
    object_ids   the objects to decide on, ascending; a member that lacks one does not see it
    """
    options = options or FusionOptions()
    labels = [frame.labels(height, width) for frame in frames]
    count = len(object_ids)
    ids = np.zeros((height, width), dtype=np.uint8)
    box = joint_box(labels)
    rule = RULES[options.rule]
    if box is None or count == 0:
        shape = (len(frames), count)
        alike = np.ones((count, shape[0], shape[0]))
        return Fused(ids, np.zeros((shape[0] + 1, count), np.int64), np.ones(shape), 0.0, alike)
    y0, y1, x0, x1 = box
    position = np.full(256, count, dtype=np.uint8)
    position[list(object_ids)] = np.arange(count)
    choices = np.stack([cv2.LUT(plane[y0:y1, x0:x1], position) for plane in labels])
    confidence = np.stack([align(f.confidence, f.object_ids, object_ids) for f in frames])
    views = survey(choices, count, (y0, x0), np.asarray(priors, dtype=np.float64), confidence)
    if options.rule in EVERY_PIXEL:
        disputed = np.ones(choices.shape[1:], dtype=bool)
    else:
        disputed = (choices[1:] != choices[0]).any(axis=0)
    where = np.flatnonzero(disputed)
    rows, columns = np.divmod(where, x1 - x0)
    rows += y0
    columns += x0
    chosen = choices.reshape(len(frames), -1)[:, where]
    sampled = [
        align(f.probabilities_at(height, width, rows, columns), f.object_ids, object_ids)
        for f in frames
    ]
    fused, weights = rule(views, Points(np.stack(sampled), chosen, rows, columns), options)
    decided = choices[0].reshape(-1).copy()
    decided[where] = decide(fused)
    if options.clean_radius:
        by_prior = prior_weights(views.priors)
        decided = clean_up(decided.reshape(choices.shape[1:]), choices, by_prior, count,
                           options.clean_radius).reshape(-1)  # fmt: skip
    names = np.zeros(256, dtype=np.uint8)
    names[:count] = object_ids
    ids[y0:y1, x0:x1] = cv2.LUT(decided.reshape(y1 - y0, x1 - x0), names)
    sizes = [np.count_nonzero(decided == n) for n in range(count)]
    areas = np.vstack([views.areas, sizes])
    return Fused(ids, areas, weights, len(where) / decided.size, views.overlaps)


def decide(fused: np.ndarray) -> np.ndarray:
    """``(P,)`` position of the most probable object of ``(N, P)``, N for the background.

    Probabilities closer than 1e-6 are equal, so that the order in which members were added
    up decides nothing; ties go to the background, then to the earlier object.
    """
    steps = np.rint(fused * 1e6).astype(np.int64)
    best = steps.argmax(axis=0)
    return np.where(1_000_000 - steps.sum(axis=0) >= steps.max(axis=0), len(steps), best)


def survey(
    choices: np.ndarray,
    count: int,
    origin: tuple[int, int],
    priors: np.ndarray,
    confidence: np.ndarray,
) -> Views:
    """`Views` from the members' choices ``(M, h, w) uint8`` (``count`` is the background).

    ``origin`` is the (row, column) of the crop in the frame.
    """
    members = len(choices)
    areas = np.zeros((members, count), dtype=np.int64)
    boxes = np.zeros((members, count, 4), dtype=np.int64)
    overlaps = np.ones((count, members, members))
    for n in range(count):
        packed = []
        for m in range(members):
            mask = choices[m] == n
            bits = np.packbits(mask, axis=None)
            packed.append(_words(bits))
            areas[m, n] = np.bitwise_count(packed[m]).sum()
            if areas[m, n]:
                boxes[m, n] = _box(mask, origin)
        for a in range(members):
            for b in range(a):
                shared = int(np.bitwise_count(packed[a] & packed[b]).sum())
                union = areas[a, n] + areas[b, n] - shared
                overlaps[n, a, b] = overlaps[n, b, a] = shared / union if union else 1.0
    return Views(priors, confidence, areas, boxes, overlaps)


def joint_box(labels: Sequence[np.ndarray]) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) around everything that any member gives to an object."""
    rows = np.zeros(labels[0].shape[0], dtype=bool)
    columns = np.zeros(labels[0].shape[1], dtype=bool)
    for plane in labels:
        here = plane.any(axis=1)
        rows |= here
        if here.any():
            span = np.flatnonzero(here)
            columns |= plane[span[0] : span[-1] + 1].any(axis=0)
    if not rows.any():
        return None
    down, across = np.flatnonzero(rows), np.flatnonzero(columns)
    return int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1


def align(values: np.ndarray, have: tuple[int, ...], want: tuple[int, ...]) -> np.ndarray:
    """Rows of ``values`` (one per id of ``have``) in the order of ``want``; zeros where absent."""
    if have == want:
        return values
    out = np.zeros((len(want), *values.shape[1:]), dtype=values.dtype)
    at = {object_id: row for row, object_id in enumerate(have)}
    for row, object_id in enumerate(want):
        if object_id in at:
            out[row] = values[at[object_id]]
    return out


def _by_prior(views: Views) -> np.ndarray:
    return np.repeat(prior_weights(views.priors)[:, None], views.areas.shape[1], axis=1)


def _one_hot(choices: np.ndarray, count: int) -> np.ndarray:
    hot = choices[:, None] == np.arange(count).reshape(-1, *(1,) * (choices.ndim - 1))
    return hot.astype(np.float32)


def _box(mask: np.ndarray, origin: tuple[int, int]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        rows[0] + origin[0],
        rows[-1] + 1 + origin[0],
        columns[0] + origin[1],
        columns[-1] + 1 + origin[1],
    )


def _words(bits: np.ndarray) -> np.ndarray:
    """Packed bits as 64-bit words, which count several times faster than bytes."""
    spare = -len(bits) % 8
    return np.pad(bits, (0, spare)).view(np.uint64)
