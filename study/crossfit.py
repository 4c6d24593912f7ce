"""What may be known of a video by the labels of others: fits by folds, and what is kept of them.

A fitted part is kept only where cross-validation over videos gains more than one standard error
above always taking the best member, as nnU-Net keeps its post-processing. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from selection.calibration import Calibration
from selection.evidence import Evidence
from selection.fitting import cross_fitted, fit_curve, fit_prior, fit_quality, folds
from selection.models import Curve, MaskQuality
from selection.policies import SelectionOptions
from selection.risk import RiskCurve, measure_risk, replacement, starting_member
from selection.statistics import paired_gain

MIN_VIDEOS = 10
"""Fewer do not fit anything."""


@dataclass(frozen=True)
class Gain:
    """J&F above a comparison, in [0, 1], and its standard error over videos."""

    gain: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether it is more than one standard error."""
        return self.gain > self.error

    def words(self) -> str:
        """In percent."""
        return f"{100 * self.gain:+.1f} +- {100 * self.error:.1f}"


@dataclass(frozen=True)
class FittedChoice:
    """How candidates are chosen, as far as labels decide it.

    quality   is the fitted model of mask quality
    chooses   tells that it chooses; if not, the estimate that ships does
    risk      is what replacements cost; without points nothing is replaced
    fitted    is what choosing by the fitted model gains above always the best member
    shipped   is the same for the estimate that ships
    """

    quality: MaskQuality
    chooses: bool
    risk: RiskCurve
    fitted: Gain
    shipped: Gain

    def sentence(self) -> str:
        """What was kept, and why."""
        kept = (
            "the fitted model chooses"
            if self.chooses
            else "the shipped estimate chooses"
            if self.risk.points
            else "neither gains more than one standard error: always the best member"
        )
        return (
            f"above always the best member, in cross-validation: by the fitted model"
            f" {self.fitted.words()}, by the shipped estimate {self.shipped.words()}; {kept}"
        )


def measure_members(
    videos: Sequence[Evidence], name: str, source: Mapping[str, Any]
) -> Calibration:
    """Priors and confidence curves."""
    priors: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for row, member in enumerate(videos[0].members):
        priors[member] = round(fit_prior([e.truth()[row] for e in videos]), 4)
        said = np.concatenate([e["confidence"][:, row].ravel() for e in videos])
        true = np.concatenate([e["truth_j"][:, row].ravel() for e in videos])
        curves[member] = fit_curve(said, true)
    return Calibration(name, source, priors, curves)


def measure_by_fold(videos: Sequence[Evidence]) -> list[Calibration]:
    """For each video priors and curves by the labels of the other folds' videos."""
    measured = [Calibration("cross-validation", {}, {})] * len(videos)
    for fitted, held in folds(len(videos)):
        made = measure_members([videos[i] for i in fitted], "cross-validation", {})
        for i in held:
            measured[i] = made
    return measured


def fit_choice(
    videos: Sequence[Evidence], allowed: float = SelectionOptions.risk / 100
) -> FittedChoice:
    """From labelled videos, each fused with what other folds tell of the members.

    allowed   J&F in [0, 1] that replacing the best member may cost, see `selection.risk`
    """
    said = cross_fitted(videos)
    curves = measure_risk(videos, said), measure_risk(videos)
    fitted = gain_of(videos, curves[0].threshold(allowed), said)
    shipped = gain_of(videos, curves[1].threshold(allowed), None)
    chooses = fitted.clear and fitted.gain > shipped.gain
    risk = curves[0] if chooses else curves[1] if shipped.clear else RiskCurve(())
    return FittedChoice(fit_quality(videos), chooses, risk, fitted, shipped)


def gain_of(
    videos: Sequence[Evidence], threshold: float, expected: Sequence[np.ndarray] | None
) -> Gain:
    """What replacing the best member above a threshold gains, see `replacement`."""
    one, other = [], []
    for k, evidence in enumerate(videos):
        start, written = starting_member(evidence), evidence.worth()
        rows, gain = replacement(evidence, None if expected is None else expected[k])
        taken = written[rows, np.arange(len(rows))]
        one.append(np.where(gain > threshold, taken, written[start]))
        other.append(evidence.truth()[start])
    return Gain(*paired_gain(one, other))


def calibrations(
    videos: Sequence[Evidence],
    known: Calibration | None,
    allowed: float = SelectionOptions.risk / 100,
) -> list[Calibration | None]:
    """For each video what may be known of it: the stored calibration, or else a choice that was
    fitted on the videos of the other folds, see `fit_choice`."""
    given: list[Calibration | None] = [known] * len(videos)
    if known is not None or len(videos) < MIN_VIDEOS:
        return given
    for fitted, held in folds(len(videos)):
        choice = fit_choice([videos[i] for i in fitted], allowed)
        for i in held:
            given[i] = with_choice(Calibration("cross-validation", {}, {}), choice)
    return given


def with_choice(measured: Calibration, choice: FittedChoice) -> Calibration:
    """A calibration that chooses as fitted."""
    return replace(measured, quality=choice.quality, chooses=choice.chooses, risk=choice.risk)
