"""The videos to look at first: those where looking can gain most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from selection.evidence import PSEUDO_LABEL
from selection.record import SelectionRecord
from selection.report.facts import VideoFacts
from selection.run_paths import page_name

MOST = 10
SHARE = 5
"""At most `MOST` videos, and at most one in `SHARE`: a list of everything says nothing."""


@dataclass(frozen=True)
class FirstLook:
    """A line of the list.

    page          is the name of the video's page
    words         tell the weightiest reason
    frame         is the index of the frame to open, None where the reason has none
    estimate      is the J&F that the ranking takes the selection to have, in [0, 1]
    estimate_of   says where that comes from
    """

    video: str
    page: str
    words: str
    frame: int | None
    estimate: float
    estimate_of: str


def first_looks(videos: Sequence[VideoFacts]) -> list[FirstLook]:
    """Flagged videos by how many objects' worth of J&F their selections are short of 1."""
    flagged = [video for video in videos if video.flags]
    flagged.sort(key=lambda video: (-to_gain(video.record), -video.flags[0].weight, video.name))
    return [_line(video) for video in flagged[: min(MOST, max(len(videos) // SHARE, 1))]]


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


def _line(video: VideoFacts) -> FirstLook:
    flag = next((flag for flag in video.flags if flag.frame is not None), video.flags[0])
    known = estimates(video.record)
    return FirstLook(
        video.name,
        page_name(video.name),
        flag.words,
        flag.frame,
        sum(known) / len(known) if known else 0.0,
        "expected J&F" if video.record.forecast_by_object else "the members agree at",
    )
