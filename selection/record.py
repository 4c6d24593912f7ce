"""The selection record of a video, ``selection/<video>.json``: every candidate's scores, what
was selected, by which rule, how sure that is, and what it was worth where there are labels.

`selection.describe` makes one of an `Evidence` and a `Choice`; whoever changes a part of one
uses `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from selection.provenance import Provenance
from selection.refined import Dispute, Suggestion
from selection.spans import ObjectSpans, Ranges, spans_between, stored_plan
from stseg.errors import InputError
from stseg.files import Json
from stseg.text import read_json

VERSION = 2
"""The version of the form on disk. A record without a version has the first form, which lacks only
that number."""

ScoreByObject: TypeAlias = Mapping[int, float | None]
"""Object id -> score in [0, 1], None where the object was nowhere scored."""

REQUIRED = {
    *("video", "frames", "objects", "fusion", "policy", "granularity", "winner", "scores"),
    *("margin", "reason", "plan", "candidates", "disputed", "missing_members"),
}
OPTIONAL = {
    *("corrections", "never_given", "categories"),
    *("version", "absent", "probability", "expected", "sure", "calibration", "oracle", "key"),
    *("selected_truth_objects", "reduced_members", "height", "width", "seconds", "cycle"),
    *("overridden", "notes", "disputes", "suggestion", "failures"),
}
ROW_REQUIRED = {"name", "prior", "agreement", "objects"}
ROW_OPTIONAL = {"score", "confidence", "truth", "truth_objects"}


@dataclass(frozen=True)
class Forecast:
    """What a calibration expects of a selection; all in [0, 1].

    probability   that it is the best candidate
    expected      its J&F
    low, high     ends of the interval around ``expected``
    """

    probability: float
    expected: float
    low: float
    high: float

    def rounded(self) -> Forecast:
        """With as many digits as a record has."""
        return Forecast(*(round(value, 4) for value in astuple(self)))

    def json(self) -> Json:
        """As it is stored."""
        expected = {"J&F": self.expected, "low": self.low, "high": self.high}
        return {"probability": self.probability, "expected": expected}

    @classmethod
    def parse(cls, stored: Json) -> Forecast:
        """From what `json` gave."""
        values = [float(stored["expected"][key]) for key in ("J&F", "low", "high")]
        return cls(float(stored["probability"]), *values)


@dataclass(frozen=True)
class CandidateRow:
    """One candidate of a video; scores are in [0, 1], None where nothing was scored.

    prior                 is its expected J&F
    agreement             is its mean J&F against the pseudo-label
    agreement_by_object   splits that up
    score                 is what the policy gave it; None where the policy left it out
    confidence            is the member's own mean; None for the pseudo-label
    truth                 is its mean J&F against the labels
    truth_by_object       splits that up; empty without labels
    """

    name: str
    prior: float
    agreement: float | None
    agreement_by_object: ScoreByObject
    score: float | None = None
    confidence: float | None = None
    truth: float | None = None
    truth_by_object: ScoreByObject = field(default_factory=dict)

    def json(self) -> Json:
        """As it is stored; unknown values are left out."""
        stored: Json = {
            "name": self.name,
            "prior": self.prior,
            "agreement": self.agreement,
            "objects": _by_text(self.agreement_by_object),
        }
        if self.score is not None:
            stored["score"] = self.score
        if self.confidence is not None:
            stored["confidence"] = self.confidence
        if self.truth_by_object:
            stored |= {"truth": self.truth, "truth_objects": _by_text(self.truth_by_object)}
        return stored

    @classmethod
    def parse(cls, stored: Json, where: str) -> CandidateRow:
        """From what `json` gave; ``where`` names the file in messages."""
        _check_keys(stored, ROW_REQUIRED, ROW_OPTIONAL, "a candidate in ", where)
        return cls(
            str(stored["name"]),
            float(stored["prior"]),
            _score(stored["agreement"]),
            _by_id(stored["objects"]),
            _score(stored.get("score")),
            _score(stored.get("confidence")),
            _score(stored.get("truth")),
            _by_id(stored.get("truth_objects") or {}),
        )


@dataclass(frozen=True)
class SelectedTruth:
    """What a selection is worth, measured by the labels.

    oracle      names the candidate that is the best in hindsight
    by_object   is the J&F of the selection
    failures    says of every object how it is lost: `selection.outcome.FAILURES`
    """

    oracle: str
    by_object: ScoreByObject
    failures: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class SelectionRecord:
    """The selection of one video.

    frames               is the number of frames
    objects              are the object ids, ascending
    fusion               is the rule that made the pseudo-label
    policy, granularity  say how the selection was made
    winner               is the candidate that gives most objects and frames
    scores               are the policy's, by candidate
    margin               is how far the winner's score is above the next one
    reason               is one sentence
    plan                 tells which candidate each object is taken from
    absent               are frames on which an object counts as absent, by object id
    candidates           are in the run's order, the pseudo-label last
    disputed             is the mean share of pixels on which the members differ
    provenance           is what the video was made from
    forecast             is what the calibration says of the video, None without one
    forecast_by_object   splits that up
    calibration          is the file or name of the calibration
    truth                is what the selection was worth, None without labels
    cycle                is the score of each member that was followed back, by object id
    overridden           tells that somebody chose by hand
    disputes             are those that refinement looked into
    suggestion           is the correction by hand that is worth most, None where all is sure
    """

    video: str
    frames: int
    objects: tuple[int, ...]
    fusion: str
    policy: str
    granularity: str
    winner: str
    scores: Mapping[str, float]
    margin: float
    reason: str
    plan: ObjectSpans
    absent: Mapping[int, Ranges]
    candidates: tuple[CandidateRow, ...]
    disputed: float
    provenance: Provenance = field(default_factory=Provenance)
    forecast: Forecast | None = None
    forecast_by_object: Mapping[int, Forecast] = field(default_factory=dict)
    calibration: str | None = None
    truth: SelectedTruth | None = None
    cycle: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    overridden: bool = False
    disputes: tuple[Dispute, ...] = ()
    suggestion: Suggestion | None = None

    def candidate(self, name: str) -> CandidateRow | None:
        """The row of a candidate."""
        return next((row for row in self.candidates if row.name == name), None)

    def json(self) -> Json:
        """As it is stored."""
        stored: Json = {
            "version": VERSION,
            "video": self.video,
            "frames": self.frames,
            "objects": list(self.objects),
            "fusion": self.fusion,
            "policy": self.policy,
            "granularity": self.granularity,
            "winner": self.winner,
            "scores": dict(self.scores),
            "margin": self.margin,
            "reason": self.reason,
            "plan": stored_plan(self.plan),
            "absent": {str(n): [list(part) for part in parts] for n, parts in self.absent.items()},
            "candidates": [row.json() for row in self.candidates],
            "probability": None,
            "expected": None,
        }
        if self.forecast:
            by_object = {str(n): part.json() for n, part in self.forecast_by_object.items()}
            stored |= {**self.forecast.json(), "sure": by_object, "calibration": self.calibration}
        if self.truth:
            by_text = _by_text(self.truth.by_object)
            stored |= {"oracle": self.truth.oracle, "selected_truth_objects": by_text}
            if self.truth.failures:
                shares = {str(n): dict(part) for n, part in self.truth.failures.items()}
                stored["failures"] = shares
        stored["disputed"] = self.disputed
        stored |= self.provenance.json()
        if self.cycle:
            stored["cycle"] = {name: _by_text(scores) for name, scores in self.cycle.items()}
        if self.overridden:
            stored["overridden"] = True
        if self.disputes:
            stored["disputes"] = [dispute.json() for dispute in self.disputes]
        if self.suggestion:
            stored["suggestion"] = self.suggestion.json()
        return stored

    @classmethod
    def parse(cls, stored: object, where: str) -> SelectionRecord:
        """From what `json` gave, of this or an older version; ``where`` names the file.

        Raises `InputError` for another version, for keys that are unknown or missing, and for
        values of another type.
        """
        if not isinstance(stored, dict):
            raise InputError(f"selection record {where} is no mapping: run the video again")
        if (version := stored.get("version", 1)) not in (1, VERSION):
            raise InputError(
                f"selection record {where} has version {version}, and this release reads versions"
                f" up to {VERSION}: read it with the release that wrote it"
            )
        _check_keys(stored, REQUIRED, OPTIONAL, "", where)
        try:
            return _parse(stored, where)
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"selection record {where} is damaged ({error}): run the video again"
            ) from None


def read_record(path: str | Path) -> SelectionRecord:
    """The record in a file. Raises `InputError` where there is none that can be read."""
    path = Path(path)
    stored = read_json(path, "selection record", "run the video again")
    return SelectionRecord.parse(stored, str(path))


def read_records(root: str | Path) -> list[SelectionRecord]:
    """The records of all finished videos of the run in ``root``, by file name."""
    return [read_record(path) for path in sorted(Path(root).glob("selection/*.json"))]


def _parse_truth(stored: Json) -> SelectedTruth:
    failures = {int(n): dict(shares) for n, shares in stored.get("failures", {}).items()}
    return SelectedTruth(str(stored["oracle"]), _by_id(stored["selected_truth_objects"]), failures)


def _parse(stored: Json, where: str) -> SelectionRecord:
    frames = int(stored["frames"])
    forecast = Forecast.parse(stored) if stored.get("expected") else None
    truth = _parse_truth(stored) if stored.get("oracle") else None
    return SelectionRecord(
        video=str(stored["video"]),
        frames=frames,
        objects=tuple(map(int, stored["objects"])),
        fusion=str(stored["fusion"]),
        policy=str(stored["policy"]),
        granularity=str(stored["granularity"]),
        winner=str(stored["winner"]),
        scores={name: float(score) for name, score in stored["scores"].items()},
        margin=float(stored["margin"]),
        reason=str(stored["reason"]),
        plan={
            int(n): spans_between([(int(start), str(name)) for start, name in parts], frames)
            for n, parts in stored["plan"].items()
        },
        absent={
            int(n): tuple((int(start), int(stop)) for start, stop in parts)
            for n, parts in stored.get("absent", {}).items()
        },
        candidates=tuple(CandidateRow.parse(row, where) for row in stored["candidates"]),
        disputed=float(stored["disputed"]),
        provenance=Provenance.parse(stored),
        forecast=forecast,
        forecast_by_object={
            int(n): Forecast.parse(part) for n, part in (stored.get("sure") or {}).items()
        },
        calibration=stored.get("calibration"),
        truth=truth,
        cycle={
            member: {int(n): float(score) for n, score in scores.items()}
            for member, scores in stored.get("cycle", {}).items()
        },
        overridden=bool(stored.get("overridden", False)),
        disputes=tuple(map(Dispute.parse, stored.get("disputes", ()))),
        suggestion=Suggestion.parse(said) if (said := stored.get("suggestion")) else None,
    )


def _check_keys(
    stored: Json, required: set[str], optional: set[str], what: str, where: str
) -> None:
    missing = sorted(required - stored.keys())
    strange = sorted(stored.keys() - required - optional)
    for keys, problem in ((missing, "lacks"), (strange, "has unknown keys:")):
        if keys:
            raise InputError(
                f"{what}selection record {where} {problem} {', '.join(keys)}: run the video again"
            )


def _score(value: Any) -> float | None:
    return None if value is None else float(value)


def _by_id(scores: Json) -> dict[int, float | None]:
    return {int(n): _score(score) for n, score in scores.items()}


def _by_text(scores: Mapping[int, Any]) -> Json:
    return {str(n): score for n, score in scores.items()}
