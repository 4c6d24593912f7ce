"""The index page: is the run good, and which videos need eyes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from selection.evidence import PSEUDO_LABEL, Evidence
from selection.record import SelectionRecord
from selection.report.document import (
    document,
    escape,
    page_name,
    percent,
    swatch,
    table,
)
from selection.report.flags import Flag, presence_changes, selected_rows, taken

LOOK_FIRST = 12
"""Videos in the list of those to look at."""
BINS = 12
CHART = (360, 110)
"""Width and height of a histogram."""


@dataclass(frozen=True)
class Run:
    """What the run directory says of the run as a whole."""

    root: Path
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    environment: Mapping[str, Any]

    @property
    def images(self) -> Path:
        """Where the frames of the data set are, or were."""
        return Path(self.environment["images"])


@dataclass(frozen=True)
class VideoFacts:
    """One video in the index.

    changes    appearances and disappearances of objects in the selected masks
    overlap    ``(M, M)`` mean IoU of the members, with their names; None where unknown
    thumbnail  number of the still that stands for the video; None without stills
    """

    record: SelectionRecord
    flags: Sequence[Flag]
    changes: int
    members: tuple[str, ...]
    overlap: np.ndarray | None
    thumbnail: int | None

    @classmethod
    def of(
        cls,
        record: SelectionRecord,
        evidence: Evidence | None,
        flags: Sequence[Flag],
        stills: Mapping[str, Any] | None,
    ) -> VideoFacts:
        """Reduced from everything that is known of a video."""
        changes, overlap = 0, None
        members: tuple[str, ...] = ()
        if evidence is not None:
            members = evidence.members
            rows = selected_rows(record, evidence)
            changes = sum(
                len(presence_changes(taken(evidence["area"], rows, n)))
                for n in range(len(evidence.object_ids))
            )
            if not np.isnan(evidence.overlap).all():
                overlap = np.nanmean(evidence.overlap, axis=0)
        thumbnail = len(stills["stems"]) // 2 if stills else None
        return cls(record, flags, changes, members, overlap, thumbnail)

    @property
    def name(self) -> str:
        return self.record.video

    @property
    def expected(self) -> float | None:
        """J&F to expect of the selection, where the run had a calibration."""
        return self.record.forecast.expected if self.record.forecast else None

    @property
    def selected_truth(self) -> float | None:
        """J&F of the selection against labels."""
        by_object = self.record.truth.by_object if self.record.truth else {}
        known = [score for score in by_object.values() if score is not None]
        return float(np.mean(known)) if known else None

    @property
    def oracle_truth(self) -> float | None:
        """J&F of the candidate that would have been best."""
        row = self.record.candidate(self.record.truth.oracle) if self.record.truth else None
        return row.truth if row else None

    @property
    def regret(self) -> float | None:
        """What the best candidate would have gained; 0 where a mixture was better still."""
        if self.selected_truth is None or self.oracle_truth is None:
            return None
        return max(self.oracle_truth - self.selected_truth, 0.0)


def index_page(run: Run, videos: Sequence[VideoFacts]) -> str:
    """The whole page."""
    names = [member["name"] for member in run.config["members"]]
    others = [*run.summary["agreement"], *(video.record.winner for video in videos)]
    names += [name for name in dict.fromkeys(others) if name not in names]
    data = {
        "candidates": names,
        "flags": sorted({flag.kind for video in videos for flag in video.flags}),
        "labelled": bool(run.summary["truth"]),
        "expected": any(video.expected is not None for video in videos),
    }
    data["rows"] = [table_row(video, data) for video in videos]
    body = (
        f"<header><h1>Selection report</h1>{headline(run)}</header>"
        f"<main><section aria-labelledby=first><h2 id=first>Look at these first</h2>"
        f"{look_first(videos)}</section>"
        f"<section><h2>Candidates</h2>{candidates(run, names)}</section>"
        f"<div class=columns>{matrix(names, videos)}{histograms(videos)}</div>"
        f"{losses(videos)}"
        "<section><h2>Videos</h2><div id=videos>"
        "<noscript>The table of videos needs JavaScript; the pages of the videos lie beside this"
        " file.</noscript></div></section></main>"
    )
    return document("Selection report", body, data, "index.js")


def headline(run: Run) -> str:
    """The run in one line, and its versions in another."""
    data, summary = run.config["data"], run.summary
    failures = summary["failures"]
    name = Path(data["dataset"]).name or data["dataset"]
    parts = [
        f"<b>{summary['videos']}</b> videos of {escape(name)} ({escape(data['split'])})",
        f"{len(run.config['members'])} members",
        f"<b class={'bad' if failures else 'good'}>{failures or 'no'} failures</b>",
        f"{summary['seconds']:.0f} s",
    ]
    if "selected" in summary["truth"]:
        truth = summary["truth"]
        parts.insert(
            1,
            f"J&amp;F <b>{percent(truth['selected'])}</b>, {percent(truth['oracle'])} at best",
        )
    versions = run.environment.get("versions", {})
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"<p class=lead>{' · '.join(parts)}</p><p class=small>{escape(told)}</p>"


def look_first(videos: Sequence[VideoFacts]) -> str:
    """The videos with the weightiest flags, as cards that say why."""
    flagged = sorted(
        (video for video in videos if video.flags),
        key=lambda video: -sum(flag.weight for flag in video.flags[:4]),
    )
    if not flagged:
        return "<p>No video stands out.</p>"
    cards = ""
    for video in flagged[:LOOK_FIRST]:
        page = page_name(video.name)
        reasons = "".join(f"<li>{escape(flag.words)}</li>" for flag in video.flags[:3])
        more = len(video.flags) - 3
        reasons += f"<li>and {more} more</li>" if more > 0 else ""
        cards += (
            f'<li class=card><a href="{quote(page)}.html">{thumbnail(video)}'
            f"<b>{escape(video.name)}</b></a><ul>{reasons}</ul></li>"
        )
    rest = len(flagged) - LOOK_FIRST
    tail = f"<p class=small>{rest} more videos have flags: filter the table.</p>"
    return f"<ul class=cards>{cards}</ul>{tail if rest > 0 else ''}"


def thumbnail(video: VideoFacts) -> str:
    """The still of a video with its selected masks, loaded when it comes into view."""
    if video.thumbnail is None:
        return ""
    base = f"frames/{quote(page_name(video.name))}/{video.thumbnail:03d}"
    return (
        f'<span class=still><img loading=lazy alt="" src="{base}.jpg">'
        f'<img loading=lazy class=mask alt="" src="{base}.selected.png"></span>'
    )


def candidates(run: Run, names: Sequence[str]) -> str:
    """How often each candidate was chosen, its agreement and, with labels, its J&F."""
    summary = run.summary
    truth, chosen = summary["truth"], summary["chosen"]
    priors = {member["name"]: member.get("prior") for member in run.config["members"]}
    total = max(sum(chosen.values()), 1)
    rows = []
    for number, name in enumerate(names):
        count = chosen.get(name, 0)
        bar = f'<span class=bar style="width:{100 * count / total:.1f}%"></span>'
        prior = priors.get(name)
        rows.append(
            [
                swatch(number) + escape(name),
                f"<span class=bars>{bar}</span>{count}",
                percent(summary["agreement"].get(name)),
                "–" if prior is None else f"{prior:.1f}",
                *([percent(truth.get(name))] if truth else []),
            ]
        )
    for name in ("selected", "oracle"):
        if name in truth:
            rows.append([name, "", "", "", percent(truth[name])])
    heads = ["candidate", "chosen for videos", "agreement", "prior"]
    return table(heads + (["J&F"] if truth else []), rows)


def matrix(names: Sequence[str], videos: Sequence[VideoFacts]) -> str:
    """Mean IoU of the members with each other, over all videos."""
    members = [name for name in names if name != PSEUDO_LABEL]
    total, count = np.zeros((2, len(members), len(members)))
    for video in videos:
        if video.overlap is None:
            continue
        at = [members.index(name) for name in video.members if name in members]
        known = [k for k, name in enumerate(video.members) if name in members]
        total[np.ix_(at, at)] += video.overlap[np.ix_(known, known)]
        count[np.ix_(at, at)] += 1
    if len(members) < 2 or not count.any():
        return ""
    rows = []
    for a, name in enumerate(members):
        cells = [swatch(a) + escape(name)]
        for b in range(len(members)):
            mean = total[a, b] / count[a, b] if count[a, b] else None
            strength = "" if mean is None or a == b else f' style="--heat:{60 * mean:.0f}%"'
            text = "" if a == b else percent(mean)
            cells.append(f"<span class=heat{strength}>{text}</span>")
        rows.append(cells)
    return (
        "<section><h2>Agreement between members</h2>"
        f"{table(['mean IoU', *members], rows)}</section>"
    )


def histograms(videos: Sequence[VideoFacts]) -> str:
    """How margins and the winners' scores are spread."""
    margins = [100 * video.record.margin for video in videos]
    scores = [
        100 * row.score
        for video in videos
        if (row := video.record.candidate(video.record.winner)) and row.score is not None
    ]
    out = histogram("Margin of the winner", margins, max([5.0, *margins]))
    expected = [100 * video.expected for video in videos if video.expected is not None]
    out += histogram("Expected J&F", expected, 100.0) if expected else ""
    return out + (histogram("Score of the winner", scores, 100.0) if scores else "")


def histogram(title: str, values: Sequence[float], top: float) -> str:
    """Bars of how many videos fall into each of `BINS` ranges of [0, ``top``]."""
    counts, edges = np.histogram(np.clip(values, 0, top), bins=BINS, range=(0, top))
    width, height = CHART[0] / BINS, CHART[1] - 20
    bars = ""
    for k, count in enumerate(counts):
        tall = height * count / max(counts.max(), 1)
        bars += (
            f'<rect x="{k * width + 1:.1f}" y="{height - tall:.1f}" width="{width - 2:.1f}"'
            f' height="{tall:.1f}"><title>{edges[k]:.1f} to {edges[k + 1]:.1f}: {count} videos'
            "</title></rect>"
        )
    label = f"{title}, median {np.median(values):.1f}" if len(values) else title
    return (
        f"<section><h2>{escape(title)}</h2><svg class=histogram role=img"
        f' aria-label="{escape(label)}" viewBox="0 0 {CHART[0]} {CHART[1]}">{bars}'
        f'<text x="0" y="{CHART[1] - 4}">0</text><text x="{CHART[0]}" y="{CHART[1] - 4}"'
        f' text-anchor="end">{top:.0f}</text></svg><p class=small>{escape(label)}, in points; one'
        " bar counts videos.</p></section>"
    )


def losses(videos: Iterable[VideoFacts]) -> str:
    """With labels: where the selection lost most against the best candidate."""
    lost = sorted(
        ((video.regret, video) for video in videos if video.regret), key=lambda pair: -pair[0]
    )[:10]
    if not lost:
        return ""
    most = lost[0][0]
    rows = [
        [
            f'<a href="{quote(page_name(video.name))}.html">{escape(video.name)}</a>',
            f'<span class=bars><span class=bar style="width:{100 * regret / most:.1f}%"></span>'
            f"</span>{100 * regret:.1f}",
            escape(video.record.winner),
            escape(video.record.truth.oracle if video.record.truth else ""),
        ]
        for regret, video in lost
    ]
    heads = ["video", "J&F lost", "chosen", "best"]
    return f"<section><h2>Where the selection lost</h2>{table(heads, rows)}</section>"


def table_row(video: VideoFacts, data: Mapping[str, Any]) -> list[Any]:
    """One row of the table of videos, as the script reads it (see ``index.js``)."""
    record = video.record
    page = page_name(video.name)
    winner = record.candidate(record.winner)
    agreement = winner.agreement if winner else None
    kinds = {flag.kind for flag in video.flags}
    row: list[Any] = [
        video.name,
        0 if page == video.name else page,
        data["candidates"].index(record.winner),
        round(100 * record.margin, 1),
        None if agreement is None else round(100 * agreement, 1),
        len(record.objects),
        record.frames,
        video.changes,
        [k for k, kind in enumerate(data["flags"]) if kind in kinds],
        -1 if video.thumbnail is None else video.thumbnail,
    ]
    scores: list[float | None] = []
    if data["expected"]:
        scores += [video.expected, record.forecast.probability if record.forecast else None]
    if data["labelled"]:
        scores += [video.selected_truth, video.regret]
    return row + [None if score is None else round(100 * score, 1) for score in scores]
