"""How sure a selection is: the probability that it is the best, and the J&F to expect.

A calibration that was fitted on a labelled split (`python -m selection.calibrate`) predicts both
from the features below. The interval holds a stated share of the true values on videos that the fit
has not seen.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from selection.calibration import Calibration, expected_quality
from selection.evidence import PSEUDO_LABEL, Evidence, mean_over_frames
from selection.models import Sureness
from selection.quality import log_odds
from selection.record import Forecast
from selection.selectors import Choice
from selection.spans import most_used

SURE_FEATURES = {
    "expected": "log odds of the J&F that the model of mask quality expects of the selection",
    "lead": "that J&F above the best other candidate's: its square root, with its sign",
    "fused": "1 where the pseudo-label is selected",
}

BEST_WITHIN = 0.001
"""J&F: a selection this close to the best candidate counts as the best."""


def sure_features(evidence: Evidence, choice: Choice, expected: np.ndarray) -> np.ndarray:
    """``(N, K)`` features of the selection, per object, in the order of `SURE_FEATURES`.

    expected   ``(T, C, N)``, see `selection.calibration.expected_quality`

    The features of a video are the means over its objects. An object that changes candidates over
    time has the features of the candidate with most of its frames.
    """
    means = mean_over_frames(expected)
    means = np.where(np.isnan(means), evidence.priors[:, None], means)
    rows = []
    for column, object_id in enumerate(evidence.object_ids):
        candidate = most_used(choice.plan[object_id])
        row = evidence.candidates.index(candidate)
        others = np.delete(means[:, column], row)
        lead = float(means[row, column] - others.max()) if len(others) else 0.0
        root = float(np.sign(lead) * np.sqrt(abs(lead)))
        rows.append([float(log_odds(means[row, column])), root, candidate == PSEUDO_LABEL])
    return np.asarray(rows, dtype=np.float64).reshape(-1, len(SURE_FEATURES))


def how_sure(
    evidence: Evidence, choice: Choice, calibration: Calibration | None
) -> tuple[Forecast | None, dict[int, Forecast]]:
    """The forecasts of the video and of each object; None and an empty mapping without a
    calibration."""
    if calibration is None or not calibration.sureness or not evidence.object_ids:
        return None, {}
    values = sure_features(evidence, choice, expected_quality(evidence, calibration))
    videos, objects = calibration.sureness["videos"], calibration.sureness["objects"]
    by_object = {
        object_id: state(objects, row)
        for object_id, row in zip(evidence.object_ids, values, strict=True)
    }
    return state(videos, values.mean(axis=0)), by_object


def state(model: Sureness, values: np.ndarray) -> Forecast:
    """The forecast of a fitted model for ``(K,)`` features."""
    expected = float(model.expected(values))
    low, high = expit(log_odds(np.array(expected)) + np.array([model.low, model.high]))
    return Forecast(
        float(model.best(values)), expected, min(float(low), expected), max(float(high), expected)
    )
