"""The report of a run: an index and a page per video, self-contained HTML.

Made from what the run directory holds (``summary.json``, ``selection/<video>.json``,
``masks/``) and, for the pictures, the frames of the data set. Pages need no network and no
framework; everything that comes from a file name or a JSON is escaped.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import yaml
from PIL import Image

from mose.errors import InputError
from mose.masks import PALETTE, read_mask
from mose.video import IMAGE_SUFFIXES, read_frame
from selection.evidence import Evidence

PICTURES = 8
"""Frames shown on a video's page."""
PICTURE_HEIGHT = 160
CHARTS = 12
"""Objects with a chart of their own."""
CHART = (340, 90)
COLOURS = ("#2f6fde", "#e07a1f", "#2e9e5b", "#b3468f", "#8a6d3b", "#5b8fa8", "#c0392b", "#777777")
STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #2f6fde; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr.chosen { font-weight: 600; }
.strip { display: flex; flex-wrap: wrap; gap: .5rem; }
.key span { margin-right: 1rem; } .key i { display: inline-block; width: .8rem; height: .8rem;
  border-radius: 2px; margin-right: .3rem; vertical-align: -1px; }
svg { background: #8881; border-radius: 4px; } polyline { fill: none; stroke-width: 1.5; }
figure { margin: 0; } figcaption { font-size: .8rem; opacity: .8; }
img { border-radius: 4px; display: block; max-width: 100%; }
a { color: var(--accent); }
"""


def write_report(root: str | Path) -> Path:
    """Write ``report/`` of the run in ``root``; returns the index. `InputError` if it is no run."""
    root = Path(root)
    records = [json.loads(path.read_text()) for path in sorted(root.glob("selection/*.json"))]
    try:
        config = yaml.safe_load((root / "config.yaml").read_text())
        summary = json.loads((root / "summary.json").read_text())
        environment = json.loads((root / "environment.json").read_text())
    except OSError as error:
        raise InputError(f"{root} is no run folder ({error.strerror}): give one") from None
    folder = root / "report"
    folder.mkdir(exist_ok=True)
    for record in records:
        strip = pictures(root, record, environment["images"])
        page = video_page(record, strip, timelines(root, record["video"]))
        (folder / f"{record['video']}.html").write_text(page, encoding="utf-8")
    index = folder / "index.html"
    index.write_text(index_page(config, summary, records), encoding="utf-8")
    return index


def index_page(
    config: Mapping[str, Any], summary: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> str:
    """The run in one line, the candidates, and a table of videos."""
    labelled = bool(summary["truth"])
    data = config["data"]
    members = ", ".join(member["name"] for member in config["members"])
    head = f"{summary['videos']} videos of {data['dataset']} ({data['split']}), members {members}"
    rows = [
        [
            name,
            str(summary["chosen"].get(name, 0)),
            percent(score),
            *([percent(summary["truth"].get(name))] if labelled else []),
        ]
        for name, score in summary["agreement"].items()
    ]
    for name in ("selected", "oracle"):
        if name in summary["truth"]:
            rows.append([name, "", "", percent(summary["truth"][name])])
    heads = ["candidate", "chosen", "agreement"] + (["J&F"] if labelled else [])
    candidates = table(heads, ([escape(cell) for cell in row] for row in rows))
    heads = ["video", "chosen", "margin", "agreement", "objects", "frames"]
    heads += ["J&F", "oracle"] if labelled else []
    videos = table(heads, (video_row(record, labelled) for record in records))
    return document(
        "Selection report",
        f"<p>{escape(head)}; {summary['failures']} failures;"
        f" {summary['seconds']:.0f} s</p>{candidates}<h2>Videos</h2>{videos}",
    )


def video_row(record: Mapping[str, Any], labelled: bool) -> list[str]:
    """One line of the index, cells as HTML."""
    rows = {row["name"]: row for row in record["candidates"]}
    winner = rows[record["winner"]]
    name = record["video"]
    cells = [
        f'<a href="{quote(name)}.html">{escape(name)}</a>',
        escape(record["winner"]),
        f"{100 * record['margin']:.1f}",
        percent(winner["agreement"]),
        str(len(record["objects"])),
        str(record["frames"]),
    ]
    if labelled:
        oracle = rows.get(record.get("oracle", ""), {})
        cells += [percent(winner.get("truth")), percent(oracle.get("truth"))]
    return cells


def video_page(
    record: Mapping[str, Any], strip: Iterable[tuple[str, bytes]], curves: str = ""
) -> str:
    """Scores of every candidate, the winner and why, agreement over time, frames with overlays."""
    labelled = "oracle" in record
    heads = ["candidate", "score", "agreement", "prior", "confidence"]
    heads += [f"object {i}" for i in record["objects"]] + (["J&F"] if labelled else [])
    rows, chosen = [], []
    for row in record["candidates"]:
        cells = [row["name"], *(percent(row.get(k)) for k in heads[1:5])]
        cells += [percent(row["objects"].get(str(i))) for i in record["objects"]]
        cells += [percent(row.get("truth"))] if labelled else []
        rows.append([escape(cell) for cell in cells])
        chosen.append(row["name"] == record["winner"])
    pictures_html = "".join(
        f'<figure><img alt="frame {escape(stem)} with the selected masks"'
        f' src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{escape(stem)}</figcaption></figure>"
        for stem, data in strip
    )
    return document(
        record["video"],
        f'<p><a href="index.html">All videos</a></p><p><b>{escape(record["winner"])}</b>:'
        f" {escape(record['reason'])}; margin {100 * record['margin']:.1f},"
        f" rule {escape(record['fusion'])}, {100 * record['disputed']:.1f} % of pixels disputed."
        f"</p>{table(heads, rows, chosen)}{curves}<div class=strip>{pictures_html}</div>",
    )


def timelines(root: Path, name: str) -> str:
    """Each member's agreement with the pseudo-label over the frames, one chart per object."""
    path = root / "selection" / "timelines" / f"{name}.npz"
    if not path.exists():
        return ""
    evidence = Evidence.load(path)
    agreement = (evidence["agreement_j"] + evidence["agreement_f"]) / 2
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(member)}</span>'
        for member, colour in zip(evidence.members, cycle(COLOURS))
    )
    charts = ""
    for n, object_id in enumerate(evidence.object_ids[:CHARTS]):
        lines = "".join(
            f'<polyline stroke="{colour}" points="{points(agreement[:, row, n])}"/>'
            for row, colour in zip(range(len(evidence.members)), cycle(COLOURS))
        )
        charts += (
            f'<figure><svg width="{CHART[0]}" height="{CHART[1]}" role="img" aria-label="agreement'
            f' of the members on object {object_id} over the frames">{lines}</svg>'
            f"<figcaption>object {object_id}, J&amp;F with the pseudo-label, 0 to 1, over"
            f" {len(evidence.frames)} frames</figcaption></figure>"
        )
    return f"<p class=key>{key}</p><div class=strip>{charts}</div><h2>Frames</h2>"


def points(values: np.ndarray) -> str:
    """``(T,)`` values in [0, 1] as points of a polyline; frames without a value are left out.

    At most one point per pixel of the chart's width.
    """
    known = np.flatnonzero(~np.isnan(values))
    known = known[:: max(len(known) // CHART[0], 1)]
    width = max(len(values) - 1, 1)
    return " ".join(
        f"{t / width * CHART[0]:.1f},{(1 - values[t]) * (CHART[1] - 4) + 2:.1f}" for t in known
    )


def pictures(root: Path, record: Mapping[str, Any], images: str) -> list[tuple[str, bytes]]:
    """(frame name, JPEG) of some frames with the selected masks over them.

    Where a frame cannot be read (a run directory on another machine, a damaged file) the masks
    stand alone.
    """
    name = record["video"]
    stems = sorted(path.stem for path in (root / "masks" / name).glob("*.png"))
    chosen = np.unique(np.linspace(0, len(stems) - 1, PICTURES).round().astype(int))
    strip = []
    for index in chosen:
        ids = read_mask(root / "masks" / name / f"{stems[index]}.png", binary=False)
        try:
            frame = read_frame(frame_path(Path(images) / name, stems[index]))
        except InputError:
            frame = np.zeros((*ids.shape, 3), np.uint8)
        strip.append((stems[index], overlay(frame, ids)))
    return strip


def frame_path(folder: Path, stem: str) -> Path:
    """The file of a frame, whichever of the image suffixes it has."""
    paths = [folder / f"{stem}{suffix}" for suffix in IMAGE_SUFFIXES]
    return next((path for path in paths if path.exists()), paths[0])


def overlay(frame: np.ndarray, ids: np.ndarray, alpha: float = 0.5) -> bytes:
    """``(H, W, 3) uint8`` frame and ``(H, W) uint8`` ids -> a small JPEG."""
    colours = np.frombuffer(PALETTE, np.uint8).reshape(256, 3)[ids]
    mixed = np.where((ids > 0)[..., None], (1 - alpha) * frame + alpha * colours, frame)
    picture = Image.fromarray(mixed.astype(np.uint8))
    picture.thumbnail((4 * PICTURE_HEIGHT, PICTURE_HEIGHT))
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=80)
    return out.getvalue()


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], chosen: Sequence[bool] = ()) -> str:
    """An HTML table; ``heads`` are text, the cells HTML."""
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in heads)
    body = ""
    for number, row in enumerate(rows):
        marked = " class=chosen" if number < len(chosen) and chosen[number] else ""
        body += f"<tr{marked}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def escape(text: str) -> str:
    """Text as HTML."""
    return html.escape(str(text), quote=True)


def percent(score: float | None) -> str:
    """A score in [0, 1] as percent with one decimal; a dash for none."""
    return "–" if score is None else f"{100 * score:.1f}"
