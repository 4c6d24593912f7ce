"""The videos to look at first: those where looking can gain most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from selection.evidence import PSEUDO_LABEL
from selection.record import SelectionRecord
from selection.report.facts import VideoFacts
from selection.run_paths import page_name

MOST = 10
SHARE = 5
"""At most `MOST` videos, and at most one in `SHARE`: a list of everything says nothing."""


class Ranked(Protocol):
    """A video with what looking at it can gain, see `FirstLook`."""

    @property
    def video(self) -> str: ...
    @property
    def gain(self) -> float: ...
    @property
    def short(self) -> float: ...


@dataclass(frozen=True)
class FirstLook:
    """A line of the list.

    page        is the name of the video's page
    gain        is what the best correction by hand would add to its mean J, as far as can be told
    short       is by how many objects' worth of J&F the selection is short of perfect masks
    frame       is the index of the frame to open, and ``object_id`` the object to look at there;
                None where no correction is known to help
    words       tell what is to be seen there
    """

    video: str
    page: str
    gain: float
    short: float
    frame: int | None
    object_id: int | None
    words: str

    @classmethod
    def of(cls, facts: VideoFacts) -> FirstLook:
        """From what is known of a video."""
        hint = facts.record.suggestion
        words = facts.flags[0].words if facts.flags else ""
        if hint is not None:
            told = f"object {hint.object_id} from frame {hint.frame}: a correction may add"
            told += f" {100 * hint.gain:.1f}"
            words = f"{told} ({words})" if words else told
        return cls(
            facts.name,
            page_name(facts.name),
            hint.gain if hint else 0.0,
            to_gain(facts.record),
            hint.frame if hint else None,
            hint.object_id if hint else None,
            words or "nothing is in doubt",
        )


R = TypeVar("R", bound=Ranked)


def in_order(rows: Iterable[R]) -> list[R]:
    """By what looking can gain: by one correction, and then by all that there is to mend."""
    return sorted(rows, key=lambda row: (-row.gain, -row.short, row.video))


def first_few(rows: Sequence[R]) -> list[R]:
    """Those to look at first, in order; none where nothing can be gained."""
    count = min(MOST, max(len(rows) // SHARE, 1))
    return [row for row in in_order(rows)[:count] if row.gain > 0 or row.short > 0]


def first_looks(videos: Sequence[VideoFacts]) -> list[FirstLook]:
    """The lines of the list."""
    return first_few([FirstLook.of(video) for video in videos])


def to_gain(record: SelectionRecord) -> float:
    """What perfect masks would add to a sum of J&F over objects, as far as can be told."""
    return sum(1 - score for score in estimates(record))


def estimates(record: SelectionRecord) -> list[float]:
    """J&F of each object in [0, 1]: the forecast, or else how well the members agree with the
    pseudo-label; nothing of objects of which neither is known."""
    if record.forecast_by_object:
        return [forecast.expected for forecast in record.forecast_by_object.values()]
    scores = []
    for object_id in record.objects:
        members = [
            score
            for row in record.candidates
            if row.name != PSEUDO_LABEL
            and (score := row.agreement_by_object.get(object_id)) is not None
        ]
        scores += [sum(members) / len(members)] if members else []
    return scores
