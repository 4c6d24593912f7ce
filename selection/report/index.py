"""The index page: how good the run is, and which videos need a look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from selection.evidence import PSEUDO_LABEL
from selection.report.document import render
from selection.report.facts import ReportedRun, VideoFacts
from selection.report.first_looks import first_looks
from selection.run_paths import page_name

BINS = 12
CHART = (360, 110)
"""Width and height of a histogram."""
LOSSES = 10
"""Videos in the list of those where the selection lost most."""


@dataclass(frozen=True)
class CandidateSummary:
    """A candidate over all videos; ``share`` is that of the videos for which it was chosen."""

    name: str
    chosen: int
    share: float
    agreement: float | None
    prior: float | None
    truth: float | None


@dataclass(frozen=True)
class OverlapRow:
    """Mean IoU of one member with each member, None where they never met."""

    name: str
    means: tuple[float | None, ...]


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram, in units of its chart."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True)
class Histogram:
    """How many videos fall into each of `BINS` ranges of [0, ``top``]."""

    title: str
    label: str
    top: float
    bars: tuple[Bar, ...]
    width: int = CHART[0]
    height: int = CHART[1]


@dataclass(frozen=True)
class Loss:
    """A video on which the best candidate would have gained ``regret`` in J&F."""

    video: str
    page: str
    regret: float
    winner: str
    oracle: str


@dataclass(frozen=True)
class TableRow:
    """A video in the sortable table, which ``index.js`` draws: it knows these names.

    page                    is "" where the page is called as the video
    winner                  is its place in the page's list of candidates
    flags                   are places in the page's list of kinds
    thumbnail               is the number of a still, None without stills
    the scores from margin on are in percent, None where unknown
    """

    name: str
    page: str
    winner: int
    objects: int
    frames: int
    changes: int
    flags: tuple[int, ...]
    thumbnail: int | None
    margin: float
    agreement: float | None
    expected: float | None
    probability: float | None
    truth: float | None
    lost: float | None


def index_page(run: ReportedRun, videos: Sequence[VideoFacts]) -> str:
    """The whole page."""
    others = [*run.agreement, *(video.record.winner for video in videos)]
    names = list(dict.fromkeys([*run.priors, *others]))
    kinds = sorted({flag.kind for video in videos for flag in video.flags})
    data = {
        "candidates": names,
        "flags": kinds,
        "labelled": bool(run.truth),
        "expected": any(video.expected is not None for video in videos),
        "columns": [field.name for field in fields(TableRow)],
        "rows": [astuple(table_row(video, names, kinds)) for video in videos],
    }
    first = first_looks(videos)
    return render(
        "index.html",
        run=run,
        data=data,
        first=first,
        more_flagged=sum(bool(v.flags) for v in videos if v.name not in {f.video for f in first}),
        candidates=candidate_summaries(run, names),
        overlaps=overlap_rows([name for name in names if name != PSEUDO_LABEL], videos),
        histograms=list(histograms(videos)),
        losses=losses(videos),
    )


def candidate_summaries(run: ReportedRun, names: Sequence[str]) -> list[CandidateSummary]:
    """How often each candidate was chosen, its agreement and, with labels, its J&F."""
    total = max(sum(run.chosen.values()), 1)
    return [
        CandidateSummary(
            name,
            run.chosen.get(name, 0),
            run.chosen.get(name, 0) / total,
            run.agreement.get(name),
            run.priors.get(name),
            run.truth.get(name),
        )
        for name in names
    ]


def overlap_rows(members: Sequence[str], videos: Sequence[VideoFacts]) -> list[OverlapRow]:
    """Mean IoU of the members with each other, over all videos; nothing where none is known."""
    total, count = np.zeros((2, len(members), len(members)))
    for video in videos:
        if video.overlap is None:
            continue
        at = [members.index(name) for name in video.members if name in members]
        known = [k for k, name in enumerate(video.members) if name in members]
        total[np.ix_(at, at)] += video.overlap[np.ix_(known, known)]
        count[np.ix_(at, at)] += 1
    if len(members) < 2 or not count.any():
        return []
    return [
        OverlapRow(name, tuple(float(t / c) if c else None for t, c in zip(*row, strict=True)))
        for name, *row in zip(members, total, count, strict=True)
    ]


def histograms(videos: Sequence[VideoFacts]) -> Iterator[Histogram]:
    """How margins, what is expected and the winners' scores are spread."""
    margins = [100 * video.record.margin for video in videos]
    yield histogram("Margin of the winner", margins, max([5.0, *margins]))
    expected = [100 * video.expected for video in videos if video.expected is not None]
    if expected:
        yield histogram("Expected J&F", expected, 100.0)
    rows = [video.record.candidate(video.record.winner) for video in videos]
    scores = [100 * row.score for row in rows if row and row.score is not None]
    if scores:
        yield histogram("Score of the winner", scores, 100.0)


def histogram(title: str, values: Sequence[float], top: float) -> Histogram:
    """The bars of ``values`` in [0, ``top``]."""
    counts, edges = np.histogram(np.clip(values, 0, top), bins=BINS, range=(0, top))
    width, height = CHART[0] / BINS, CHART[1] - 20
    bars = []
    for k, count in enumerate(counts):
        tall = height * count / max(counts.max(), 1)
        words = f"{edges[k]:.1f} to {edges[k + 1]:.1f}: {count} videos"
        bars.append(Bar(k * width + 1, height - tall, width - 2, tall, words))
    label = f"{title}, median {np.median(values):.1f}" if len(values) else title
    return Histogram(title, label, top, tuple(bars))


def losses(videos: Sequence[VideoFacts]) -> list[Loss]:
    """The videos on which the selection lost most against the best candidate, if there are
    labels."""
    lost = [
        Loss(video.name, page_name(video.name), regret, video.record.winner, truth.oracle)
        for video in videos
        if (truth := video.record.truth) and (regret := video.regret)
    ]
    return sorted(lost, key=lambda loss: -loss.regret)[:LOSSES]


def table_row(video: VideoFacts, names: Sequence[str], kinds: Sequence[str]) -> TableRow:
    """A video's row; ``names`` are the candidates, ``kinds`` those of the flags, in order."""
    record, page = video.record, page_name(video.name)
    winner = record.candidate(record.winner)
    flagged = {flag.kind for flag in video.flags}
    return TableRow(
        name=video.name,
        page="" if page == video.name else page,
        winner=names.index(record.winner),
        objects=len(record.objects),
        frames=record.frames,
        changes=video.changes,
        flags=tuple(k for k, kind in enumerate(kinds) if kind in flagged),
        thumbnail=video.thumbnail,
        margin=round(100 * record.margin, 1),
        agreement=_points(winner.agreement if winner else None),
        expected=_points(video.expected),
        probability=_points(record.forecast.probability if record.forecast else None),
        truth=_points(video.selected_truth),
        lost=_points(video.regret),
    )


def _points(score: float | None) -> float | None:
    return None if score is None else round(100 * score, 1)
