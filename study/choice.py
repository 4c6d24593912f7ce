"""What the choice hangs on: its risk, its features, and what a few labels would do in its place.
Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from selection.evidence import Evidence, mean_over_objects
from selection.features import FEATURES
from selection.fitting import cross_fitted
from selection.risk import RiskCurve, measure_risk
from selection.statistics import mean_score
from stseg.files import Json
from stseg.tables import format_table
from study.crossfit import MIN_VIDEOS, Gain, gain_of

LABELLED = 10
"""Videos that a person labels to choose by."""
DRAWS = 200


@dataclass(frozen=True)
class FewLabels:
    """What a person with labels of `LABELLED` videos would have: the candidate that is best on
    them, for all others.

    score       is its J&F on the others, mean over draws of the labelled videos
    low, high   are the ends of the range of 95 % of the draws
    taken       counts how often each candidate was the best: candidate -> share of the draws
    """

    score: float
    low: float
    high: float
    taken: dict[str, float]


@dataclass(frozen=True)
class ChoiceReport:
    """What the choice hangs on; gains are J&F above always the best member, in cross-validation.

    whole      is that of replacing it by the fitted model wherever any gain is expected
    without    is the same without one feature: feature -> gain
    fitted, shipped   are the risk curves of the fitted model and of the estimate that ships
    labels     is what labels of a few videos would bring; None where there are too few videos
    """

    whole: Gain
    without: dict[str, Gain]
    fitted: RiskCurve
    shipped: RiskCurve
    labels: FewLabels | None

    def table(self) -> str:
        """As it is printed."""
        rows = [["all", self.whole.words()]]
        rows += [[f"without {name}", gain.words()] for name, gain in self.without.items()]
        parts = ["what each feature is worth\n" + format_table(["features", "gain"], rows)]
        heads = ["gain asked for", "fitted: loss", "bound", "shipped: loss", "bound"]
        both = zip(self.fitted.points, self.shipped.points, strict=True)
        curves = [
            [f"{100 * value:.1f}" for value in (a.threshold, a.loss, a.bound, b.loss, b.bound)]
            for a, b in both
        ]
        parts.append("risk of replacing the best member\n" + format_table(heads, curves))
        if self.labels:
            few = self.labels
            taken = ", ".join(f"{name} {100 * share:.0f} %" for name, share in few.taken.items())
            parts.append(
                f"the best candidate on {LABELLED} labelled videos, on the others:"
                f" {100 * few.score:.1f} ({100 * few.low:.1f} to {100 * few.high:.1f}); {taken}"
            )
        return "\n\n".join(parts)

    def json(self) -> Json:
        """As it is stored in study.json."""
        return {
            "gain": asdict(self.whole),
            "gain_without": {name: asdict(gain) for name, gain in self.without.items()},
            "risk_fitted": [asdict(point) for point in self.fitted.points],
            "risk_shipped": [asdict(point) for point in self.shipped.points],
            "labels_of_few": asdict(self.labels) if self.labels else None,
        }


def choice_report(videos: Sequence[Evidence]) -> ChoiceReport | None:
    """Of videos with labels; None of fewer than `MIN_VIDEOS`."""
    if len(videos) < MIN_VIDEOS:
        return None
    said = cross_fitted(videos)
    without = {name: gain_of(videos, 0.0, cross_fitted(videos, name)) for name in FEATURES}
    return ChoiceReport(
        gain_of(videos, 0.0, said),
        without,
        measure_risk(videos, said),
        measure_risk(videos),
        few_labels(videos),
    )


def few_labels(videos: Sequence[Evidence], seed: int = 0) -> FewLabels | None:
    """None where fewer than twice `LABELLED` videos are scored."""
    worths = [evidence.worth() for evidence in videos]
    means = np.asarray([mean_over_objects(worth) for worth in worths])
    scored = np.flatnonzero(~np.isnan(means).all(axis=1))
    if len(scored) < 2 * LABELLED:
        return None
    rng = np.random.default_rng(seed)
    scores, taken = [], np.zeros(means.shape[1])
    for _ in range(DRAWS):
        order = rng.permutation(scored)
        best = int(np.nanmean(means[order[:LABELLED]], axis=0).argmax())
        taken[best] += 1 / DRAWS
        scores.append(mean_score([worths[i][best] for i in order[LABELLED:]]))
    low, high = np.quantile(scores, (0.025, 0.975))
    shares = {
        name: round(float(share), 3)
        for name, share in zip(videos[0].candidates, taken, strict=True)
        if share
    }
    return FewLabels(float(np.mean(scores)), float(low), float(high), shares)
