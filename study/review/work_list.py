"""The index as a work list: a row per video, those first where looking can gain most."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain

from selection.record import SelectionRecord
from selection.report.first_looks import to_gain
from selection.run_paths import page_name
from selection.spans import candidates_of
from stseg.files import Json


class Mark(StrEnum):
    """What somebody has said of a video."""

    OPEN = "open"
    DONE = "done"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class WorkRow:
    """A video in the work list.

    page        names it in addresses
    winner      is the candidate that gives most of the masks
    used        are all candidates that give any
    gain        is what the best correction by hand would add to its mean J, as far as can be told
    short       is by how many objects' worth of J&F the selection is short of perfect masks
    frame       is the index of the frame to open, 0 where nothing is in doubt
    object_id   is the object to look at there, None where nothing is in doubt
    expected    is the J&F to expect, None without a calibration
    edited      tells that somebody has changed it
    corrected   counts frames that were corrected by hand
    first       tells that it is among the few to look at first
    """

    video: str
    page: str
    winner: str
    used: tuple[str, ...]
    frames: int
    objects: int
    agreement: float | None
    margin: float
    gain: float
    short: float
    frame: int
    object_id: int | None
    expected: float | None
    edited: bool
    corrected: int
    mark: Mark = Mark.OPEN
    first: bool = False

    @classmethod
    def of(cls, record: SelectionRecord) -> WorkRow:
        """From a record, not marked yet."""
        hint, row = record.suggestion, record.candidate(record.winner)
        return cls(
            record.video,
            page_name(record.video),
            record.winner,
            candidates_of(chain.from_iterable(record.plan.values())),
            record.frames,
            len(record.objects),
            row.agreement if row else None,
            record.margin,
            hint.gain if hint else 0.0,
            to_gain(record),
            hint.frame if hint else 0,
            hint.object_id if hint else None,
            record.forecast.expected if record.forecast else None,
            record.overridden,
            len(record.provenance.corrections),
        )

    def json(self) -> Json:
        """For the page."""
        return asdict(self)
