"""Pieces of HTML that the pages share: documents, tables, file names, escaping."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from selection.record import Forecast

COLOURS = ("#3b7ded", "#e07a1f", "#2e9e5b", "#c04f9c", "#9a7b3c", "#4a90a8", "#d04a3a", "#808080")
"""Of the candidates, in the run's order; legible on white and on near-black."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_HASHED = re.compile(r".*-[0-9a-f]{8}")


def page_name(video: str) -> str:
    """The file name, without suffix, of a video's page: the video's own where that is safe.

    Other names (and "index") get what is safe of them and a hash, so that two videos never
    share a page.
    """
    if _PLAIN.fullmatch(video) and not _HASHED.fullmatch(video) and video.lower() != "index":
        return video
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", video)[:60].lstrip(".")
    return f"{plain}-{hashlib.sha256(video.encode(errors='surrogateescape')).hexdigest()[:8]}"


def stills_folder(root: Path, video: str) -> Path:
    """Where the stills of a video lie."""
    return root / "report" / "frames" / page_name(video)


def document(title: str, body: str, data: Any = None, script: str | None = None) -> str:
    """A whole page; ``data`` is what ``script`` (a file beside this one) draws from."""
    code = ""
    if script:
        code = (
            f'<script type="application/json" id="data">{embed(data)}</script>'
            f"<script>{asset(script)}</script>"
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{asset('report.css')}</style></head>"
        f"<body>{body}{code}</body></html>\n"
    )


def write_page(path: Path, page: str) -> None:
    """Write a page; what UTF-8 cannot hold (names that are no text) as character references."""
    path.write_text(page, encoding="utf-8", errors="xmlcharrefreplace")


def embed(data: Any) -> str:
    """JSON that may stand inside a script element: no ``<`` is left in it."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def asset(name: str) -> str:
    """A file of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    marked: Sequence[bool] = (),
    caption: str = "",
) -> str:
    """An HTML table that scrolls sideways; ``heads`` are text, the cells HTML."""
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in heads)
    body = ""
    for number, (first, *rest) in enumerate(rows):
        css = " class=chosen" if number < len(marked) and marked[number] else ""
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        body += f"<tr{css}><th scope=row>{first}</th>{cells}</tr>"
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class=wide tabindex=0 role=region aria-label="{escape(caption or heads[0])}">'
        f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def swatch(number: int) -> str:
    """The colour of a candidate, as a small square."""
    return f'<i class=swatch style="background:{COLOURS[number % len(COLOURS)]}"></i>'


def escape(text: object) -> str:
    """Text as HTML."""
    return html.escape(str(text), quote=True)


def interval(forecast: Forecast) -> str:
    """An expected J&F with its interval: "78.1 (70.2 to 84.0)"."""
    low, high = percent(forecast.low), percent(forecast.high)
    return f"{percent(forecast.expected)} ({low} to {high})"


def percent(score: float | None) -> str:
    """A score in [0, 1] as percent with one decimal; a dash for none."""
    return "–" if score is None else f"{100 * score:.1f}"
