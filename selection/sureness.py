"""How sure a selection is: the probability that it is the best, and the J&F to expect.

A calibration that was fitted on a labelled split (`python -m selection.calibrate`) predicts both
from the features below. The interval holds a stated share of the true values on videos that the fit
has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from selection.calibration import Calibration
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.features import FEATURES, features
from selection.models import Sureness
from selection.policies import SelectionOptions
from selection.record import Forecast
from selection.selectors import Choice
from selection.spans import most_used

TAKEN = (
    "agreement",
    "confidence",
    "stability_low",
    "appearance_low",
    "presence_conflict",
    "spread",
    "best_agreement",
    "disputed",
    "objects",
)
"""Features of the selected candidate, see `selection.features`."""

SURE_FEATURES = {
    "score": "the policy's score of the selected candidate",
    "margin": "that above the best other candidate's; negative where another scores higher",
    "margin_root": "square root of the margin, with its sign",
    "fused": "1 where the pseudo-label is selected",
    **{name: FEATURES[name] for name in TAKEN},
}

BEST_WITHIN = 0.001
"""J&F: a selection this close to the best candidate counts as the best."""


def sure_features(evidence: Evidence, choice: Choice) -> np.ndarray:
    """``(N, K)`` features of the selection, per object, in the order of `SURE_FEATURES`.

    The features of a video are the means over its objects. An object that changes candidates over
    time has the features of the candidate with most of its frames.
    """
    values = features(evidence)
    at = [list(FEATURES).index(name) for name in TAKEN]
    rows = []
    for column, object_id in enumerate(evidence.object_ids):
        candidate = most_used(choice.plan[object_id])
        table = _known(choice.table.get(object_id) or {}, choice.scores)
        score = table.get(candidate, 0.0)
        others = [value for name, value in table.items() if name != candidate]
        margin = score - max(others) if others else 0.0
        root = float(np.sign(margin) * np.sqrt(abs(margin)))
        row = evidence.candidates.index(candidate)
        fused = float(candidate == PSEUDO_LABEL)
        rows.append([score, margin, root, fused, *values[row, column, at]])
    return np.asarray(rows).reshape(-1, len(SURE_FEATURES))


def how_sure(
    evidence: Evidence,
    options: SelectionOptions,
    choice: Choice,
    calibration: Calibration | None,
) -> tuple[Forecast | None, dict[int, Forecast]]:
    """The forecasts of the video and of each object; None and an empty mapping without a
    calibration for the policy."""
    if calibration is None or not evidence.object_ids:
        return None, {}
    values = sure_features(evidence, choice)
    models = [calibration.sureness.get(key) for key in keys(options)]
    whole = state(models[0], values.mean(axis=0)) if models[0] else None
    objects = {}
    if models[1]:
        for object_id, row in zip(evidence.object_ids, values, strict=True):
            objects[object_id] = state(models[1], row)
    return whole, objects


def keys(options: SelectionOptions) -> tuple[str, str]:
    """The keys under which a calibration holds the fits for videos and for objects."""
    how = f"{options.policy}/{options.granularity}"
    return f"{how}/video", f"{how}/object"


def state(model: Sureness, values: np.ndarray) -> Forecast:
    """The forecast of a fitted model for ``(K,)`` features."""
    probability = 1.0 / (1.0 + np.exp(-float(model.probability(values))))
    expected = float(np.clip(model.expected(values), 0.0, 1.0))
    low, high = float(model.low(expected)), float(model.high(expected))
    return Forecast(
        probability, expected, min(max(low, 0.0), expected), max(min(high, 1.0), expected)
    )


def _known(table: Mapping[str, float], whole: Mapping[str, float]) -> dict[str, float]:
    """An object's scores; the video's where the object is nowhere scored."""
    scored = {name: score for name, score in table.items() if not np.isnan(score)}
    return scored or dict(whole)
