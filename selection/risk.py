"""How far the pseudo-label may replace the member of the best prior: a bound on what it costs.

The gain that is expected of a replacement comes from the members' own overlaps, see `expected_j`.
What such expectations are worth is measured where there are labels: for each threshold that the
expected gain must exceed, the loss against the member alone, and a bound on that loss. From the
most careful threshold on, each is tested in turn, and the last before the first whose bound is
above the risk that is allowed is in use (fixed-sequence testing, Angelopoulos et al., Learn then
Test, 2021, with a bound by the normal distribution over videos).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from selection.evidence import Evidence, mean_over_frames
from selection.quality import FOLDER

THRESHOLDS = (-0.1, -0.05, -0.03, -0.02, -0.01, -0.005, 0.0)
"""Expected gains in J that are tried. To ask for more than 0 is no more careful: it leaves less to
measure the gain on, and the bound is wider there."""

NORMAL_90 = 1.2816
"""90 % of a normal distribution lie below this many standard deviations above its mean."""


@dataclass(frozen=True)
class Point:
    """What replacing costs where the expected gain exceeds a threshold; J&F in [0, 1].

    threshold   is of the expected gain
    loss        is the mean over videos of what the member alone has more; negative where it pays
    bound       is what the loss is below in nine cases of ten
    """

    threshold: float
    loss: float
    bound: float


@dataclass(frozen=True)
class RiskCurve:
    """The points that were measured, by rising threshold."""

    points: tuple[Point, ...]

    def threshold(self, risk: float) -> float:
        """The lowest one that is reached, from the highest on, while the bounds are at most
        ``risk`` (J&F in [0, 1]); infinity, so that nothing is replaced, where the first is above.
        """
        allowed = np.inf
        for point in sorted(self.points, key=lambda point: -point.threshold):
            if point.bound > risk:
                break
            allowed = point.threshold
        return allowed


def risk_curve(stored: Sequence[dict[str, float]]) -> RiskCurve:
    """From its JSON."""
    return RiskCurve(tuple(Point(p["threshold"], p["loss"], p["bound"]) for p in stored))


@lru_cache(maxsize=8)
def shipped_risk(name: str = "default") -> RiskCurve:
    """The curve that ships in ``configs/quality``."""
    return risk_curve(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["risk"])


def expected_j(evidence: Evidence) -> np.ndarray:
    """``(T, C, N)`` in [0, 1]: the J that a mask is expected to have, if the truth is one of the
    members' masks, each as probable as its share of the weight. NaN before an object is scored.

    A member's own mask is among them, so one that has nearly all the weight is hard to beat.
    """
    weight = np.nan_to_num(evidence["weight"][:, :-1].astype(np.float64))
    share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    expected = evidence["support"].astype(np.float64)
    expected[:, :-1] = share + (1 - share) * expected[:, :-1]
    return np.where(np.isnan(evidence["support"][:, -1:]), np.nan, expected)


def starting_member(evidence: Evidence) -> int:
    """The row of the member of the best prior, the first of equals."""
    return int(evidence.priors[:-1].argmax())


def replacement(
    evidence: Evidence, expected: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The candidates to take in the starting member's place, as ``(N,)`` rows, and ``(N,)`` what
    they are expected to gain on the mean over frames.

    expected   ``(T, C, N)`` by a fitted model, which may take any candidate; None: `expected_j`,
               by which only the pseudo-label is taken
    """
    means = mean_over_frames(expected_j(evidence) if expected is None else expected)
    row = starting_member(evidence)
    others = means.copy()
    others[row] = -np.inf
    if expected is None:
        others[:-1] = -np.inf
    rows = others.argmax(axis=0)
    return rows, others[rows, np.arange(len(rows))] - means[row]


def measure_risk(
    videos: Sequence[Evidence], expected: Sequence[np.ndarray] | None = None
) -> RiskCurve:
    """The curve of labelled videos; without points where fewer than two are scored.

    expected   what a model says of each video that was not fitted on it, see `replacement`
    """
    losses = []
    for k, evidence in enumerate(videos):
        start, written = starting_member(evidence), evidence.worth()
        rows, gain = replacement(evidence, None if expected is None else expected[k])
        alone, other = evidence.truth()[start], written[rows, np.arange(len(rows))]
        known = ~(np.isnan(alone) | np.isnan(gain))
        if known.any():
            taken = [np.where(gain > t, other, written[start]) for t in THRESHOLDS]
            losses.append([float((alone - j)[known].mean()) for j in taken])
    if len(losses) < 2:
        return RiskCurve(())
    table = np.asarray(losses)
    mean, error = table.mean(axis=0), table.std(axis=0, ddof=1) / np.sqrt(len(table))
    points = zip(THRESHOLDS, mean, mean + NORMAL_90 * error, strict=True)
    return RiskCurve(tuple(Point(t, round(float(m), 6), round(float(b), 6)) for t, m, b in points))
