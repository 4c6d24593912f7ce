"""The selection record of a video: every candidate's scores, the winner, the rule, the margin."""

from __future__ import annotations

from typing import Any

import numpy as np

from ensemble.config import RunConfig, calibration_of
from selection.evidence import PSEUDO_LABEL, Evidence, mean_over_objects
from selection.outcome import selected_truth
from selection.selectors import Choice
from selection.sureness import how_sure


def describe(config: RunConfig, evidence: Evidence, choice: Choice) -> dict[str, Any]:
    """The selection record: every candidate's scores, the winner, the rule, the margin."""
    agreement, truth = evidence.agreement(), evidence.truth()
    means = {"agreement": mean_over_objects(agreement), "truth": mean_over_objects(truth)}
    missing = [m.name for m in config.members if m.name not in evidence.members]
    rows = []
    for row, name in enumerate(evidence.candidates):
        entry: dict[str, Any] = {
            "name": name,
            "prior": round(float(evidence.priors[row]), 4),
            "agreement": _rounded(means["agreement"][row]),
            "objects": _by_object(evidence, agreement[row]),
        }
        if name in choice.scores:
            entry["score"] = round(choice.scores[name], 6)
        if name != PSEUDO_LABEL:
            confidence = evidence["confidence"][:, row]
            said = ~np.isnan(confidence)
            mean = float(confidence[said].mean()) if said.any() else 0.0
            entry["confidence"] = round(mean, 4)
        if evidence.labelled:
            entry["truth"] = _rounded(means["truth"][row])
            entry["truth_objects"] = _by_object(evidence, truth[row])
        rows.append(entry)
    return {
        "video": evidence.video,
        "frames": len(evidence.frames),
        "objects": list(evidence.object_ids),
        "fusion": config.fusion.rule,
        "policy": config.selection.policy,
        "granularity": config.selection.granularity,
        **choice.json(),
        "candidates": rows,
        **_how_sure(config, evidence, choice),
        **_against_labels(evidence, choice),
        "disputed": round(float(evidence.disputed.mean()), 6),
        "missing_members": missing,
    }


def _rounded(score: float) -> float | None:
    return None if np.isnan(score) else round(float(score), 6)


def _how_sure(config: RunConfig, evidence: Evidence, choice: Choice) -> dict[str, Any]:
    """``probability`` and ``expected`` of the video, and of each object under ``sure``."""
    whole, objects = how_sure(evidence, config.selection, choice, calibration_of(config))
    if whole is None:
        return {"probability": None, "expected": None}
    by_object = {str(object_id): sure.json() for object_id, sure in objects.items()}
    return {**whole.json(), "sure": by_object, "calibration": config.calibration}


def _against_labels(evidence: Evidence, choice: Choice) -> dict[str, Any]:
    """The best candidate in hindsight and the selection's own J&F, where there are labels."""
    if not evidence.labelled:
        return {}
    oracle = int(np.nan_to_num(mean_over_objects(evidence.truth())).argmax())
    return {
        "oracle": evidence.candidates[oracle],
        "selected_truth_objects": _by_object(evidence, selected_truth(evidence, choice)),
    }


def _by_object(evidence: Evidence, scores: np.ndarray) -> dict[str, float | None]:
    return {
        str(object_id): _rounded(score)
        for object_id, score in zip(evidence.object_ids, scores, strict=True)
    }
