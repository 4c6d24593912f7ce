"""Two plots as SVG, written by hand: bars with intervals, and a reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

INK, GRID, BAR, MARK = "#222", "#ddd", "#7aa6d6", "#c0392b"
COLOURS = ("#2b6cb0", "#dd8a1f", "#3a8f5b")


def bars(rows: Sequence[tuple[str, float, tuple[float, float] | None]], mark: float) -> str:
    """Horizontal bars of scores in [0, 1], with intervals; a line at ``mark``."""
    left, width, step = 330, 420, 20
    values = [score for _, score, _ in rows] + [end for *_, ends in rows if ends for end in ends]
    low = max(0.0, np.floor(20 * (min(values) - 0.02)) / 20)
    high = min(1.0, np.ceil(20 * (max(values) + 0.02)) / 20)

    def x(score: float) -> float:
        return left + width * (score - low) / max(high - low, 1e-6)

    height = step * len(rows) + 40
    parts = []
    for tick in np.arange(low, high + 1e-6, 0.05):
        parts.append(_line(x(tick), 10, x(tick), height - 30, GRID))
        parts.append(_text(x(tick), height - 14, f"{100 * tick:.0f}", "middle"))
    for n, (name, score, ends) in enumerate(rows):
        y = 14 + step * n
        parts.append(_text(left - 8, y + 11, name, "end"))
        parts.append(
            f'<rect x="{left}" y="{y}" width="{x(score) - left:.1f}" height="14" fill="{BAR}"/>'
        )
        parts.append(
            _text(x(score) + 4 if ends is None else left + 4, y + 11, f"{100 * score:.1f}")
        )
        if ends:
            parts.append(_line(x(ends[0]), y + 7, x(ends[1]), y + 7, INK))
    parts.append(_line(x(mark), 10, x(mark), height - 30, MARK))
    return _svg(left + width + 60, height, parts)


def reliability(points: Mapping[str, tuple[np.ndarray, np.ndarray]], bins: int = 5) -> str:
    """Stated probability against how often it came true, in bins of equal counts.

    points   name -> (stated ``(V,)``, came true ``(V,)`` of 0 and 1)
    """
    side, left, top = 320, 50, 14

    def at(stated: float, true: float) -> tuple[float, float]:
        return left + side * stated, top + side * (1 - true)

    parts = []
    for tick in np.linspace(0, 1, 6):
        parts.append(_line(*at(tick, 0), *at(tick, 1), GRID))
        parts.append(_line(*at(0, tick), *at(1, tick), GRID))
        parts.append(_text(at(tick, 0)[0], top + side + 16, f"{tick:.1f}", "middle"))
        parts.append(_text(left - 6, at(0, tick)[1] + 4, f"{tick:.1f}", "end"))
    parts.append(_line(*at(0, 0), *at(1, 1), INK))
    for n, (name, (stated, true)) in enumerate(points.items()):
        colour = COLOURS[n % len(COLOURS)]
        corners = []
        for part in np.array_split(np.argsort(stated, kind="stable"), min(bins, len(stated))):
            x, y = at(float(stated[part].mean()), float(true[part].mean()))
            corners.append(f"{x:.1f},{y:.1f}")
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        parts.append(f'<polyline points="{" ".join(corners)}" fill="none" stroke="{colour}"/>')
        parts.append(_text(left + side + 12, top + 14 + 18 * n, name, colour=colour))
    parts.append(_text(left + side / 2, top + side + 36, "stated probability", "middle"))
    parts.append(_text(left + side + 12, top + side, "share that came true: up"))
    return _svg(left + side + 170, top + side + 46, parts)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" font-size="11">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = INK) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {where}>{escape(text)}</text>"
