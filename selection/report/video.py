"""A video's page: which masks were chosen, why, and what there is to see."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from selection.evidence import PSEUDO_LABEL, Evidence
from selection.record import SelectionRecord
from selection.report.document import (
    COLOURS,
    document,
    escape,
    interval,
    page_name,
    percent,
    swatch,
    table,
)
from selection.report.flags import Flag
from selection.report.series import encode, points_per_line
from selection.report.stills import object_colour


def video_page(
    root: Path,
    record: SelectionRecord,
    evidence: Evidence | None,
    stills: Mapping[str, Any] | None,
    flags: Sequence[Flag],
    near: Mapping[str, Sequence[str]],
) -> str:
    """The whole page; ``near`` has the page names of the previous and the next video, if any."""
    data = {
        "folder": f"frames/{quote(page_name(record.video))}",
        "stills": stills,
        "colours": COLOURS,
        "ids": {n: "#{:02x}{:02x}{:02x}".format(*object_colour(n)) for n in record.objects},
        "disputed": most_disputed(evidence, stills),
        "frames": record.frames,
        **timelines(evidence),
    }
    links = '<a href="index.html">All videos</a>' + "".join(
        f'<a rel="{rel}" href="{quote(page)}.html">{words}</a>'
        for key, rel, words in (("previous", "prev", "Previous"), ("next", "next", "Next"))
        for page in near[key]
    )
    body = (
        f"<nav aria-label=videos>{links}</nav><main><h1>{escape(record.video)}</h1>"
        f"<p class=small>{count(record.frames, 'frame')},"
        f" {count(len(record.objects), 'object')}, fused by"
        f" {escape(record.fusion)}, {100 * record.disputed:.1f} % of pixels disputed"
        f"{size(record)}</p>{verdict(record, flags)}"
        + ("<div id=viewer></div>" if stills else "<p>There are no pictures of this video.</p>")
        + f"<h2>Candidates</h2>{candidates(record)}"
        "<div id=comparison></div><div id=timelines></div>"
        f"<h2>Choose otherwise</h2>{override(root, record)}</main>"
    )
    return document(record.video, body, data, "video.js")


def count(number: int, noun: str) -> str:
    """ "1 object", "3 objects"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def size(record: SelectionRecord) -> str:
    """The size of the frames, where the record has it."""
    made = record.provenance
    return "" if made.width is None else f", {made.width} × {made.height} pixels"


def verdict(record: SelectionRecord, flags: Sequence[Flag]) -> str:
    """The winner and the reason in words, and what deserves a look."""
    items = ""
    for flag in flags:
        words = escape(flag.words)
        items += (
            f"<li><span>{words}</span></li>"
            if flag.frame is None
            else f'<li><button type=button data-frame="{flag.frame}">{words}</button></li>'
        )
    if items:
        items = f"<ul class=flags aria-label=flags>{items}</ul>"
    margin = f"; margin {100 * record.margin:.1f}" if record.margin else ""
    changed = " <b>(overridden by hand)</b>" if record.overridden else ""
    return (
        f"<div class=verdict><b>{escape(record.winner)}</b>{changed}:"
        f" {escape(record.reason)}{margin}{sureness(record)}{strengths(record)}{items}</div>"
    )


def sureness(record: SelectionRecord) -> str:
    """What a calibration says of the selection, where the run had one."""
    if record.forecast is None:
        return ""
    return (
        f"<p>Expected J&amp;F <b>{interval(record.forecast)}</b>; the best candidate with a"
        f" probability of {100 * record.forecast.probability:.0f} %.</p>"
    )


def strengths(record: SelectionRecord) -> str:
    """On which objects the winner agrees best, and where another candidate does better."""
    members = [row for row in record.candidates if row.name != PSEUDO_LABEL]
    best: dict[str, list[str]] = {}
    for object_id in record.objects:
        scores = {row.name: row.agreement_by_object.get(object_id) for row in members}
        known = {name: score for name, score in scores.items() if score is not None}
        if known:
            name = max(known, key=lambda name: known[name])
            best.setdefault(name, []).append(str(object_id))
    if len(members) < 2 or not best:
        return ""
    told = [f"{name} on {numbered('object', ids)}" for name, ids in best.items()]
    return f"<p class=small>Agrees best: {escape('; '.join(told))}.</p>"


def numbered(noun: str, ids: Sequence[str]) -> str:
    """ "object 3" or "objects 1, 2 and 5"; only how many, where they are many."""
    if len(ids) > 8:
        return f"{len(ids)} {noun}s"
    if len(ids) == 1:
        return f"{noun} {ids[0]}"
    return f"{noun}s {', '.join(ids[:-1])} and {ids[-1]}"


def candidates(record: SelectionRecord) -> str:
    """The table of candidates with their scores, the winner marked."""
    labelled = record.truth is not None
    heads = ["candidate", "score", "agreement", "prior", "confidence"]
    heads += ["J&F"] if labelled else []
    heads += [f"object {object_id}" for object_id in record.objects]
    rows, marked = [], []
    for number, row in enumerate(record.candidates):
        cells = [percent(score) for score in (row.score, row.agreement, row.prior, row.confidence)]
        cells += [percent(row.truth)] if labelled else []
        for object_id in record.objects:
            cell = percent(row.agreement_by_object.get(object_id))
            if labelled:
                true = percent(row.truth_by_object.get(object_id))
                cell += f" <span class=small>({true})</span>"
            cells.append(cell)
        rows.append([swatch(number) + escape(row.name), *cells])
        marked.append(row.name == record.winner)
    if record.forecast_by_object:
        told = [record.forecast_by_object.get(object_id) for object_id in record.objects]
        cells = [interval(forecast) if forecast else "–" for forecast in told]
        rows.append(["expected J&amp;F of the selection", *[""] * (4 + labelled), *cells])
    caption = "per object: agreement with the pseudo-label"
    return table(heads, rows, marked, caption + (" (J&F with the labels)" if labelled else ""))


def override(root: Path, record: SelectionRecord) -> str:
    """The commands that put another candidate's masks in."""
    others = [row.name for row in record.candidates if row.name != record.winner]
    if not others:
        return "<p>There is no other candidate.</p>"
    commands = "\n".join(
        shlex.join(["python", "-m", "selection.override", str(root), record.video, name])
        for name in others
    )
    return (
        "<p>Run one of these where the run was made; add <code>--object ID</code> for one object"
        f" alone.</p><pre tabindex=0>{escape(commands)}</pre>"
    )


def most_disputed(evidence: Evidence | None, stills: Mapping[str, Any] | None) -> int:
    """Number of the still on which members differ most."""
    if evidence is None or stills is None:
        return 0
    return int(np.argmax(evidence.disputed[stills["frames"]]))


def timelines(evidence: Evidence | None) -> dict[str, Any]:
    """Agreement and presence per object and member, for the script to draw."""
    if evidence is None:
        return {"members": [], "objects": []}
    members = len(evidence.members)
    points = points_per_line(len(evidence.frames), 2 * members * len(evidence.object_ids))
    agreement = (evidence["agreement_j"] + evidence["agreement_f"]) / 2
    objects = [
        {
            "id": object_id,
            "agreement": [encode(agreement[:, m, n], points) for m in range(members)],
            "presence": [encode(evidence["presence"][:, m, n], points) for m in range(members)],
        }
        for n, object_id in enumerate(evidence.object_ids)
    ]
    return {"members": list(evidence.members), "objects": objects}
