"""The run in numbers: makes summary.json, CSV and a table from the videos' selection records."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from selection.metrics import REGISTRY, ScoredObject
from selection.record import ScoreByObject, SelectionRecord
from stseg.failures import Failure
from stseg.files import Json
from stseg.tables import format_table


@dataclass(frozen=True)
class Summary:
    """The summary of a run.

    videos       number of videos written
    chosen       candidate -> number of videos it was selected for
    agreement    candidate -> mean agreement (J&F with the pseudo-label) over videos
    truth        candidate -> mean J&F over all objects of all labelled videos, and beside
                 them "selected" and "oracle" (the best candidate of each video); empty
                 without labels
    failures     what was given up
    seconds      wall time of this invocation
    never_given  video -> objects of its labels that no given mask holds
    refined      member -> number of disputes in which it was corrected
    lost         name of `selection.outcome.FAILURES` -> its mean over the objects of a video, then
                 over videos; empty without labels
    """

    videos: int
    chosen: dict[str, int]
    agreement: dict[str, float]
    truth: dict[str, float]
    failures: tuple[Failure, ...]
    seconds: float
    never_given: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    refined: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)

    @property
    def note(self) -> str | None:
        """Why `selection.evaluate` gives the same masks another J&F, where it does."""
        if not self.never_given:
            return None
        video, ids = next(iter(self.never_given.items()))
        return (
            f"the labels of {len(self.never_given)} videos hold objects that no given mask holds"
            f" (video {video}: {', '.join(map(str, ids))}): J&F here leaves them out,"
            " selection.evaluate scores them"
        )

    def json(self) -> Json:
        """As stored in summary.json; scores in [0, 1]."""
        return {
            "videos": self.videos,
            "chosen": self.chosen,
            "agreement": {k: round(v, 6) for k, v in self.agreement.items()},
            "truth": {k: round(v, 6) for k, v in self.truth.items()},
            "failures": len(self.failures),
            "seconds": round(self.seconds, 3),
            **({"refined": dict(self.refined)} if self.refined else {}),
            **({"lost": {k: round(v, 6) for k, v in self.lost.items()}} if self.lost else {}),
        }

    def table(self) -> str:
        """The table that a run ends with; scores in percent."""
        heads = ["candidate", "chosen", "agreement"]
        heads += ["refined"] if self.refined else []
        heads += ["J&F"] if self.truth else []
        rows = []
        for name, score in self.agreement.items():
            row = [name, str(self.chosen.get(name, 0)), f"{100 * score:.1f}"]
            row += [str(self.refined.get(name, 0))] if self.refined else []
            if self.truth:
                row.append(f"{100 * self.truth[name]:.1f}" if name in self.truth else "")
            rows.append(row)
        for name in ("selected", "oracle"):
            if name in self.truth:
                between = ["", ""] if self.refined else [""]
                rows.append([name, str(self.videos), *between, f"{100 * self.truth[name]:.1f}"])
        shares = ", ".join(f"{name} {100 * share:.1f}" for name, share in self.lost.items())
        return format_table(heads, rows) + (
            f"\nlost by the selected masks: {shares}" if shares else ""
        )


def summarise(
    records: Sequence[SelectionRecord], failures: Iterable[Failure], seconds: float
) -> Summary:
    """A `Summary` of the videos' records."""
    chosen: Counter[str] = Counter(record.winner for record in records)
    refined = Counter(n for r in records for dispute in r.disputes for n in dispute.corrected)
    agreement: dict[str, list[float]] = {}
    truth: dict[str, list[float]] = {}
    for record in records:
        rows = {row.name: row for row in record.candidates}
        for name, row in rows.items():
            agreement.setdefault(name, [])
            agreement[name] += [row.agreement] if row.agreement is not None else []
            truth.setdefault(name, []).extend(_scored(row.truth_by_object))
        if record.truth:
            oracle = rows[record.truth.oracle]
            truth.setdefault("selected", []).extend(_scored(record.truth.by_object))
            truth.setdefault("oracle", []).extend(_scored(oracle.truth_by_object))
    return Summary(
        videos=len(records),
        chosen=dict(chosen),
        agreement={name: float(np.mean(values or [1.0])) for name, values in agreement.items()},
        truth={name: float(np.mean(values)) for name, values in truth.items() if values},
        failures=tuple(failures),
        seconds=seconds,
        never_given={
            r.video: r.provenance.never_given for r in records if r.provenance.never_given
        },
        refined=dict(refined),
        lost=lost_shares(records),
    )


def lost_shares(records: Iterable[SelectionRecord]) -> dict[str, float]:
    """How the selected masks lose objects, as VOTS takes its means; empty without labels."""
    objects = [
        ScoredObject(dict(shares), video=record.video)
        for record in records
        if record.truth
        for shares in record.truth.failures.values()
    ]
    means = REGISTRY["vots"].combine(objects)
    return {name: share for name, share in means.items() if share is not None}


def selection_csv(records: Iterable[SelectionRecord]) -> str:
    """One line per video: winner, margin and every candidate's agreement (and J&F)."""
    records = list(records)
    names: list[str] = []
    for record in records:
        names += [row.name for row in record.candidates if row.name not in names]
    labelled = any(record.truth for record in records)
    heads = ["video", "winner", "margin", "frames", "objects", "disputed"]
    heads += [f"agreement:{name}" for name in names]
    heads += [f"truth:{name}" for name in names] if labelled else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    for record in records:
        rows = {row.name: row for row in record.candidates}
        line: list[object] = [record.video, record.winner, record.margin, record.frames]
        line += [len(record.objects), record.disputed]
        line += [rows[name].agreement if name in rows else None for name in names]
        if labelled:
            line += [rows[name].truth if name in rows else None for name in names]
        writer.writerow(line)
    return out.getvalue()


def _scored(by_object: ScoreByObject) -> list[float]:
    return [score for score in by_object.values() if score is not None]
