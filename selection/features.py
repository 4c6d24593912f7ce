"""What is seen of a mask without labels: the features of `selection.models.MaskQuality`.

Each is a number in [0, 1] that is larger for better masks, taken as log odds, so that a weighted
sum of them is the log odds of an expected J&F.
"""

from __future__ import annotations

import numpy as np

from selection.evidence import Evidence, mean_over_frames
from selection.quality import log_odds

FEATURES = {
    "prior": "expected J&F of the member; the pseudo-label has the best member's",
    "agreement": "J&F against the pseudo-label; the pseudo-label: the weighted mean of members'",
    "confidence": "the member's own; the pseudo-label: weighted by the members' say",
    "appearance": "how far the mask looks like the object as given",
}


def features(evidence: Evidence) -> np.ndarray:
    """``(T, C, N, K) float64`` log odds of every candidate's mask of each object on each frame, in
    the order of `FEATURES`; NaN on frames on which the object is not scored.

    A value that is missing on some frames is the mean of the others; one that is missing on all is
    the mean of the object's other candidates, or even odds. Computed once per evidence, which must
    be complete by then.
    """
    if "features" not in evidence.memo:
        evidence.memo["features"] = _features(evidence)
    return evidence.memo["features"]


def _features(evidence: Evidence) -> np.ndarray:
    both = (evidence["agreement_j"] + evidence["agreement_f"]).astype(np.float64) / 2
    scored = ~np.isnan(both[:, -1])
    say = np.nan_to_num(evidence["weight"][:, :-1].astype(np.float64))
    share = say / np.maximum(say.sum(axis=1, keepdims=True), 1e-12)
    table = {
        "prior": np.broadcast_to(evidence.priors[None, :, None], both.shape),
        "agreement": _with_fused(both, share),
        "confidence": _with_fused(evidence["confidence"].astype(np.float64), share),
        "appearance": evidence["appearance"],
    }
    odds = np.stack([_filled(log_odds(table[name])) for name in FEATURES], axis=-1)
    odds[~np.broadcast_to(scored[:, None], both.shape)] = np.nan
    return odds


def _with_fused(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``(T, C, N)`` with the members' mean by their share in the fusion for the pseudo-label."""
    out = values.copy()
    out[:, -1] = (share * np.nan_to_num(values[:, :-1])).sum(axis=1)
    return out


def _filled(values: np.ndarray) -> np.ndarray:
    """``(T, C, N)`` log odds without NaN, see `features`."""
    means = mean_over_frames(values)
    known = ~np.isnan(means)
    others = np.where(known, means, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    means = np.where(known, means, others)
    return np.where(np.isnan(values), means, values)
