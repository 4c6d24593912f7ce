"""A video's page: which masks were chosen, why, and a viewer of all masks."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from selection.evidence import PSEUDO_LABEL, Evidence
from selection.record import SelectionRecord
from selection.report.document import COLOURS, render
from selection.report.flags import Flag
from selection.report.series import encode, points_per_line
from selection.report.stills import Stills, object_colour
from selection.run_paths import RunPaths, page_name


@dataclass(frozen=True)
class Timeline:
    """One object: per member its agreement with the pseudo-label and its presence, encoded."""

    id: int
    agreement: list[str]
    presence: list[str]


@dataclass(frozen=True)
class Neighbours:
    """Page names of the videos before and after, None at the ends."""

    previous: str | None = None
    next: str | None = None


def video_page(
    root: Path,
    record: SelectionRecord,
    evidence: Evidence | None,
    stills: Stills | None,
    flags: Sequence[Flag],
    near: Neighbours,
) -> str:
    """The whole page."""
    data = {
        "folder": f"frames/{quote(page_name(record.video))}",
        "stills": asdict(stills) if stills else None,
        "colours": COLOURS,
        "ids": {n: "#{:02x}{:02x}{:02x}".format(*object_colour(n)) for n in record.objects},
        "names": {n: record.provenance.called(n) for n in record.objects},
        "disputed": most_disputed(evidence, stills),
        "frames": record.frames,
        "members": evidence.members if evidence else (),
        "objects": [asdict(timeline) for timeline in timelines(evidence)],
    }
    return render(
        "video.html",
        record=record,
        data=data,
        flags=flags,
        previous=near.previous,
        next=near.next,
        strengths=strengths(record),
        object_heads=[record.provenance.called(n) for n in record.objects],
        commands=override_commands(root, record),
        correction=correction_command(root),
    )


def strengths(record: SelectionRecord) -> str:
    """On which objects each member agrees best; empty where there is nothing to compare."""
    members = [row for row in record.candidates if row.name != PSEUDO_LABEL]
    best: dict[str, list[str]] = {}
    for object_id in record.objects:
        scores = {row.name: row.agreement_by_object.get(object_id) for row in members}
        known = {name: score for name, score in scores.items() if score is not None}
        if known:
            name = max(known, key=lambda name: known[name])
            best.setdefault(name, []).append(str(object_id))
    if len(members) < 2:
        return ""
    return "; ".join(f"{name} on {numbered('object', ids)}" for name, ids in best.items())


def numbered(noun: str, ids: Sequence[str]) -> str:
    """ "object 3" or "objects 1, 2 and 5"; only how many, where they are many."""
    if len(ids) > 8:
        return f"{len(ids)} {noun}s"
    if len(ids) == 1:
        return f"{noun} {ids[0]}"
    return f"{noun}s {', '.join(ids[:-1])} and {ids[-1]}"


def override_commands(root: Path, record: SelectionRecord) -> list[str]:
    """The commands that put another candidate's masks in place."""
    return [
        shlex.join(["python", "-m", "selection.override", str(root), record.video, row.name])
        for row in record.candidates
        if row.name != record.winner
    ]


def correction_command(root: Path) -> str:
    """The command that runs corrected videos again."""
    run = ["python", "-m", "ensemble.run", "--config", str(RunPaths(root).config)]
    return shlex.join([*run, "--output", str(root), "--corrections", "CORRECTIONS"])


def most_disputed(evidence: Evidence | None, stills: Stills | None) -> int:
    """Number of the still on which members differ most."""
    if evidence is None or stills is None:
        return 0
    return int(np.argmax(evidence.disputed[list(stills.frames)]))


def timelines(evidence: Evidence | None) -> list[Timeline]:
    """Agreement and presence per object and member, for the script to draw."""
    if evidence is None:
        return []
    members = range(len(evidence.members))
    points = points_per_line(len(evidence.frames), 2 * len(members) * len(evidence.object_ids))
    agreement = (evidence["agreement_j"] + evidence["agreement_f"]) / 2
    return [
        Timeline(
            object_id,
            [encode(agreement[:, m, n], points) for m in members],
            [encode(evidence["presence"][:, m, n], points) for m in members],
        )
        for n, object_id in enumerate(evidence.object_ids)
    ]
