"""From a video's evidence and the choice that was made to its `SelectionRecord`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from selection.calibration import Calibration
from selection.evidence import PSEUDO_LABEL, Evidence, mean_over_objects
from selection.outcome import failure_shares, selected_truth
from selection.policies import SelectionOptions
from selection.provenance import Provenance
from selection.record import (
    CandidateRow,
    ScoreByObject,
    SelectedTruth,
    SelectionRecord,
)
from selection.selectors import Choice
from selection.suggestion import suggest
from selection.sureness import how_sure


@dataclass(frozen=True)
class SelectionSetup:
    """How a run selects.

    fusion             is the rule that makes the pseudo-label
    options            are those of the selection
    calibration        of the members, where the run has one
    calibration_name   is the file or name by which the run's configuration knows it
    """

    fusion: str
    options: SelectionOptions
    calibration: Calibration | None = None
    calibration_name: str | None = None


def describe(
    setup: SelectionSetup,
    evidence: Evidence,
    choice: Choice,
    provenance: Provenance,
    written: Mapping[int, float] | None = None,
) -> SelectionRecord:
    """The record of a video of which ``choice`` was selected; scores are rounded for the file.

    written   J&F by object of the masks that were written, where the candidates' do not tell it
    """
    truth = evidence.truth() if evidence.labelled else None
    forecast, by_object = how_sure(evidence, choice, setup.calibration)
    return SelectionRecord(
        video=evidence.video,
        frames=len(evidence.frames),
        objects=evidence.object_ids,
        fusion=setup.fusion,
        policy=setup.options.policy,
        granularity=setup.options.mixes_by,
        winner=choice.winner,
        scores={name: round(score, 6) for name, score in choice.scores.items()},
        margin=round(choice.margin, 6),
        reason=choice.reason.sentence(),
        plan=choice.plan,
        absent=choice.absent,
        candidates=_rows(evidence, choice, truth),
        disputed=round(float(evidence.disputed.mean()), 6),
        provenance=provenance,
        forecast=forecast.rounded() if forecast else None,
        forecast_by_object={n: part.rounded() for n, part in by_object.items() if forecast},
        calibration=setup.calibration_name if forecast else None,
        truth=None if truth is None else _truth(evidence, choice, truth, written),
        suggestion=suggest(evidence),
    )


def _rows(evidence: Evidence, choice: Choice, truth: np.ndarray | None) -> tuple[CandidateRow, ...]:
    agreement = evidence.agreement()
    mean_agreement = mean_over_objects(agreement)
    mean_truth = None if truth is None else mean_over_objects(truth)
    rows = []
    for row, name in enumerate(evidence.candidates):
        score = choice.scores.get(name)
        rows.append(
            CandidateRow(
                name,
                round(float(evidence.priors[row]), 4),
                _rounded(mean_agreement[row]),
                _by_object(evidence, agreement[row]),
                None if score is None else round(score, 6),
                None if name == PSEUDO_LABEL else _mean_confidence(evidence, row),
                None if mean_truth is None else _rounded(mean_truth[row]),
                {} if truth is None else _by_object(evidence, truth[row]),
            )
        )
    return tuple(rows)


def _mean_confidence(evidence: Evidence, row: int) -> float:
    confidence = evidence["confidence"][:, row]
    known = ~np.isnan(confidence)
    return round(float(confidence[known].mean()) if known.any() else 0.0, 4)


def _truth(
    evidence: Evidence, choice: Choice, truth: np.ndarray, written: Mapping[int, float] | None
) -> SelectedTruth:
    oracle = int(np.nan_to_num(mean_over_objects(truth)).argmax())
    by_object = _by_object(evidence, selected_truth(evidence, choice))
    if written is not None:
        by_object = {n: None if s is None else round(written[n], 6) for n, s in by_object.items()}
    failures = {
        n: {name: None if share is None else round(share, 6) for name, share in shares.items()}
        for n, shares in failure_shares(evidence, choice).items()
    }
    return SelectedTruth(evidence.candidates[oracle], by_object, failures)


def _rounded(score: float) -> float | None:
    return None if np.isnan(score) else round(float(score), 6)


def _by_object(evidence: Evidence, scores: np.ndarray) -> ScoreByObject:
    return {
        object_id: _rounded(score)
        for object_id, score in zip(evidence.object_ids, scores, strict=True)
    }
