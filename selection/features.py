"""The features of the recommender: numbers that tell, without labels, how good a candidate may be.

`FEATURES` documents them. All are means over the frames of one video on which the object is
scored, per candidate and object.
"""

from __future__ import annotations

import numpy as np

from selection.evidence import Evidence

FEATURES = {
    # of the candidate
    "prior": "expected J&F of the member; the pseudo-label has the best member's",
    "fused": "1 for the pseudo-label, 0 for a member",
    "agreement": "J&F against the pseudo-label; the pseudo-label: the weighted mean of members'",
    "agreement_lead": "agreement above the best other member's; 0 for the pseudo-label",
    "agreement_late": "agreement in the last third of the frames above that in all",
    "consensus": "IoU with the other members, mean over objects",
    "confidence": "the member's own; the pseudo-label: weighted by the members' say",
    "confidence_low": "its tenth percentile over frames",
    "visible": "share of frames on which the mask is not empty",
    "presence_conflict": "share of frames on which only one of mask and pseudo-label is empty",
    "stability": "IoU of the mask with the one on the frame before",
    "stability_low": "its tenth percentile over frames",
    "area_change": "mean |log| of the ratio of the areas of one frame and the next",
    "growth": "|log| of the ratio of the median area and the first one",
    "appearance": "likeness of colours inside to those of the object as given",
    "appearance_low": "its smallest value over the sampled frames",
    # of the content, the same for all candidates of an object
    "spread": "standard deviation of the members' agreement",
    "best_agreement": "largest agreement of a member",
    "disputed": "share of the pixels of the joint box on which members differ",
    "objects": "log of the number of objects",
    "frames": "log of the number of frames",
    # of both
    "fused_spread": "spread for the pseudo-label, 0 for a member",
    "prior_spread": "prior times spread",
}

RELATIVE = (
    "agreement",
    "consensus",
    "confidence",
    "visible",
    "presence_conflict",
    "stability",
    "stability_low",
    "area_change",
    "growth",
    "appearance",
    "appearance_low",
)
"""Features that are also given relative to the mean of the object's candidates, because good and
bad candidates differ in other ways than easy and hard objects do."""

NAMES = (*FEATURES, *(f"{name}_relative" for name in RELATIVE))


def features(evidence: Evidence) -> np.ndarray:
    """``(C, N, K) float64`` features of every candidate and object, in the order of `NAMES`.

    A missing value is replaced by the mean of the object's other candidates, or by 0. The features
    are computed once per evidence, which must be complete by then.
    """
    if "features" not in evidence.memo:
        evidence.memo["features"] = _features(evidence)
    return evidence.memo["features"]


def _features(evidence: Evidence) -> np.ndarray:
    count, objects = len(evidence.candidates), len(evidence.object_ids)
    table = _of_candidates(evidence)
    agreement = table["agreement"][:-1]
    spread = agreement.std(axis=0) if len(agreement) else np.zeros(objects)
    content = {
        "spread": spread,
        "best_agreement": agreement.max(axis=0),
        "disputed": np.full(objects, float(evidence.disputed.mean())),
        "objects": np.full(objects, np.log(max(objects, 1))),
        "frames": np.full(objects, np.log(len(evidence.frames))),
    }
    table |= {k: np.broadcast_to(v, (count, objects)) for k, v in content.items()}
    table["fused_spread"] = table["fused"] * table["spread"]
    table["prior_spread"] = table["prior"] * table["spread"]
    for name in RELATIVE:
        table[f"{name}_relative"] = table[name] - table[name].mean(axis=0)
    return np.stack([table[name] for name in NAMES], axis=-1)


def _of_candidates(evidence: Evidence) -> dict[str, np.ndarray]:
    """Features of the candidates themselves, ``(C, N)`` each."""
    count, objects = len(evidence.candidates), len(evidence.object_ids)
    both = (evidence["agreement_j"] + evidence["agreement_f"]) / 2
    say = evidence["weight"].copy()
    say[:, -1] = 0
    whole = _mean(both)
    late = _mean(both[-max(len(both) // 3, 1) :])
    share = np.nan_to_num(_mean(say))
    share = share / np.maximum(share.sum(axis=0), 1e-9)
    whole[-1] = (share * np.nan_to_num(whole)).sum(axis=0)
    late[-1] = (share * np.nan_to_num(late)).sum(axis=0)
    confidence = evidence["confidence"].copy()
    confidence[:, -1] = np.nansum(confidence[:, :-1] * say[:, :-1], axis=1) / np.maximum(
        np.nansum(say[:, :-1], axis=1), 1e-9
    )
    scored = ~np.isnan(both)
    seen = np.where(scored, evidence["area"] > 0, np.nan)
    fused = np.zeros((count, objects))
    fused[-1] = 1.0
    table = {
        "prior": np.repeat(evidence.priors[:, None], objects, axis=1),
        "fused": fused,
        "agreement": _filled(whole),
        "agreement_late": _filled(late) - _filled(whole),
        "consensus": _consensus(evidence, share, _mean(evidence["agreement_j"])),
        "confidence": _filled(_mean(confidence)),
        "confidence_low": _filled(_low(confidence)),
        "visible": _filled(_mean(seen)),
        "presence_conflict": _filled(_mean(np.abs(seen - seen[:, -1:]))),
        "stability": _filled(_mean(evidence["stability"])),
        "stability_low": _filled(_low(evidence["stability"])),
        "appearance": _filled(_mean(evidence["appearance"])),
        "appearance_low": _filled(_low(evidence["appearance"], 0)),
    }
    members = table["agreement"][:-1]
    lead = np.zeros((count, objects))
    for row in range(count - 1):
        others = np.delete(members, row, axis=0)
        lead[row] = members[row] - (others.max(axis=0) if len(others) else members[row])
    table["agreement_lead"] = lead
    return table | _of_areas(evidence["area"])


def _of_areas(area: np.ndarray) -> dict[str, np.ndarray]:
    """How much the areas ``(T, C, N)`` change, with 25 pixels added so that specks do not count."""
    logs = np.log(area + 25.0)
    change = np.abs(np.diff(logs, axis=0))
    known = ~np.isnan(area)
    first = np.take_along_axis(logs, known.argmax(axis=0)[None], axis=0)[0]
    middle = _percentile(logs, 50)
    return {"area_change": _filled(_mean(change)), "growth": _filled(np.abs(middle - first))}


def _consensus(evidence: Evidence, share: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    members = len(evidence.members)
    overlap = np.nan_to_num(_mean(evidence.overlap)) if members else np.zeros((0, 0))
    others = (overlap.sum(axis=1) - np.diag(overlap)) / max(members - 1, 1)
    consensus = np.zeros(share.shape)
    consensus[:-1] = others[:, None]
    consensus[-1] = (share[:-1] * np.nan_to_num(agreement[:-1])).sum(axis=0)
    return consensus


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over frames of the values that are there; NaN where there is none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0, dtype=np.float64)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _low(values: np.ndarray, share: float = 10) -> np.ndarray:
    return _percentile(values, share)


def _percentile(values: np.ndarray, share: float) -> np.ndarray:
    """Percentile over frames of the values that are there (the lower one of two)."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = (~np.isnan(values)).sum(axis=0)
    at = np.maximum(((count - 1) * share / 100).astype(int), 0)
    return np.take_along_axis(ordered, at[None], axis=0)[0].astype(np.float64)


def _filled(values: np.ndarray) -> np.ndarray:
    """``(C, N)`` with the mean of the other candidates, or 0, where there is nothing."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(known, values, total / np.maximum(count, 1))
