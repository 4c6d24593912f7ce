"""How the parts of a MOSE+ compare: a table, and a page of distributions beside MOSE's."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mose.plus.measures import MEASURED
from stseg.errors import InputError
from stseg.files import write_text
from stseg.tables import format_table
from stseg.text import read_text

BINS = 24
WIDTH, HEIGHT = 230, 64


def read_clips(out: Path) -> list[dict[str, str]]:
    """The rows of ``clips.csv``; `InputError` where ``out`` is no MOSE+."""
    try:
        text = read_text(out / "clips.csv", "table of clips")
    except InputError as error:
        raise InputError(f"{out} is no MOSE+ ({error}): build one first") from None
    return list(csv.DictReader(io.StringIO(text, newline="")))


def parts(rows: Sequence[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    """The kept clips by source, MOSE first."""
    kept = [row for row in rows if row["kept"] == "1"]
    sources = sorted({row["source"] for row in kept}, key=lambda s: (s != "mose", s))
    return {source: [row for row in kept if row["source"] == source] for source in sources}


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Per source: clips seen and kept, frames, and the median of every measure."""
    heads = ["source", "seen", "kept", "frames", "objects", *MEASURED]
    lines = []
    for source, kept in parts(rows).items():
        seen = sum(row["source"] == source for row in rows)
        counts = [sum(int(row[c]) for row in kept) for c in ("frames", "objects")]
        medians = [f"{np.median([float(row[m]) for row in kept]):.3f}" for m in MEASURED]
        lines.append([source, str(seen), str(len(kept)), *map(str, counts), *medians])
    return format_table(heads, lines)


def write_report(out: Path) -> Path:
    """Write ``report.html`` into ``out``: a histogram per measure and part."""
    rows = read_clips(out)
    by_source = parts(rows)
    if not by_source:
        raise InputError(f"{out} has no clips: build it from more sources or with a lower score")
    body = ""
    for name in MEASURED:
        values = [float(row[name]) for kept in by_source.values() for row in kept]
        edges = np.linspace(min(values), max(max(values), min(values) + 1e-6), BINS + 1)
        pictures = "".join(
            f"<figure>{histogram([float(row[name]) for row in kept], edges)}"
            f"<figcaption>{html.escape(source)} ({len(kept)})</figcaption></figure>"
            for source, kept in by_source.items()
        )
        scale = f"{edges[0]:.3g} to {edges[-1]:.3g}"
        body += f"<h2>{name} <small>{scale}</small></h2><div class=row>{pictures}</div>"
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>MOSE+</title><style>'
        ":root{color-scheme:light dark}body{font:15px/1.5 system-ui;max-width:80rem;"
        "margin:2rem auto;padding:0 1rem}.row{display:flex;flex-wrap:wrap;gap:1rem}"
        "figure{margin:0}svg{background:#8882}rect{fill:#2f6fde}small{font-weight:400}"
        f"</style><h1>MOSE+</h1><pre>{html.escape(table(rows))}</pre>{body}</html>"
    )
    target = out / "report.html"
    write_text(target, page)
    return target


def histogram(values: Sequence[float], edges: np.ndarray) -> str:
    """An SVG of the shares of ``values`` between ``edges``."""
    counts, _ = np.histogram(values, edges)
    shares = counts / max(counts.max(), 1)
    step = WIDTH / len(counts)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{HEIGHT * (1 - s):.1f}" width="{step - 1:.1f}"'
        f' height="{HEIGHT * s:.1f}"/>'
        for i, s in enumerate(shares)
        if s > 0
    )
    return f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="histogram">{bars}</svg>'
