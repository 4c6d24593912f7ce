"""Spans: the frames of an object that go to one candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """Frames ``start`` to ``stop``, half open, of one object go to ``candidate``."""

    start: int
    stop: int
    candidate: str


Spans = tuple[Span, ...]
"""Of one object, in order and without a gap, from frame 0 to the last of the video."""

ObjectSpans = Mapping[int, Spans]
"""Object id -> its spans: a selection's plan."""

StoredPlan = dict[str, list[list[int | str]]]
"""A plan in JSON: object id -> ``[[first frame, candidate], ...]``."""

Ranges = tuple[tuple[int, int], ...]
"""(first frame index, the one after the last) in order."""


def whole(candidate: str, frames: int) -> Spans:
    """One candidate for all of ``frames``."""
    return (Span(0, frames, candidate),)


def spans_between(starts: Sequence[tuple[int, str]], frames: int) -> Spans:
    """From (first frame, candidate), in order, to spans of a video with ``frames`` frames."""
    stops = [start for start, _ in starts[1:]] + [frames]
    return tuple(
        Span(start, stop, candidate) for (start, candidate), stop in zip(starts, stops, strict=True)
    )


def spliced(spans: Spans, start: int, stop: int, candidate: str) -> Spans:
    """Spans with the frames ``start`` to ``stop``, half open, given to another candidate.

    Neighbours of one candidate become one span."""
    last = spans[-1].stop
    starts = [(span.start, span.candidate) for span in spans if span.start < start]
    starts.append((start, candidate))
    if stop < last:
        starts.append((stop, candidate_at(spans, stop)))
    starts += [(span.start, span.candidate) for span in spans if span.start > stop]
    merged = [part for n, part in enumerate(starts) if n == 0 or part[1] != starts[n - 1][1]]
    return spans_between(merged, last)


def consecutive(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending indices as (first, last) of each stretch without a gap."""
    stretches: list[tuple[int, int]] = []
    for index in indices:
        if stretches and stretches[-1][1] == index - 1:
            stretches[-1] = (stretches[-1][0], index)
        else:
            stretches.append((index, index))
    return stretches


def differing(before: Spans, after: Spans) -> Spans:
    """The parts of ``after`` that go to another candidate than before."""
    return tuple(
        Span(max(old.start, new.start), min(old.stop, new.stop), new.candidate)
        for new in after
        for old in before
        if old.candidate != new.candidate and max(old.start, new.start) < min(old.stop, new.stop)
    )


def without(ranges: Ranges, start: int, stop: int) -> Ranges:
    """Ranges without the frames ``start`` to ``stop``, half open."""
    parts = [part for a, b in ranges for part in ((a, min(b, start)), (max(a, stop), b))]
    return tuple((a, b) for a, b in parts if a < b)


def stored_plan(plan: ObjectSpans) -> StoredPlan:
    """The form in which the spans of a plan are stored."""
    return {
        str(object_id): [[span.start, span.candidate] for span in spans]
        for object_id, spans in plan.items()
    }


def candidate_at(spans: Spans, index: int) -> str:
    """The candidate of one frame."""
    return next(span.candidate for span in spans if span.start <= index < span.stop)


def candidates_of(spans: Iterable[Span]) -> tuple[str, ...]:
    """Every candidate that is used, each once, in the order of their first span."""
    return tuple(dict.fromkeys(span.candidate for span in spans))


def most_used(spans: Iterable[Span], default: str = "") -> str:
    """The candidate with most frames, the earlier one of equals; ``default`` without spans."""
    frames: Counter[str] = Counter()
    for start, stop, candidate in spans:
        frames[candidate] += stop - start
    return frames.most_common(1)[0][0] if frames else default
