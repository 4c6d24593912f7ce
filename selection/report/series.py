"""Timelines as short strings: one character per point, so that a page stays small."""

from __future__ import annotations

import warnings

import numpy as np

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
"""64 levels from 0 to 1; a full stop says that nothing is known."""
POINTS = 240
"""Points of a line, at most."""
BUDGET = 120_000
"""Characters that all lines of a page may have together."""


def points_per_line(frames: int, lines: int) -> int:
    """How many points each of ``lines`` timelines of ``frames`` frames gets."""
    return max(min(frames, POINTS, BUDGET // max(lines, 1)), 2)


def reduce(values: np.ndarray, points: int) -> np.ndarray:
    """``(T,)`` -> ``(min(T, points),)``: the lowest value of each stretch, so that no dip is
    lost."""
    if len(values) <= points:
        return values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a stretch in which nothing is known
        return np.array([np.nanmin(part) for part in np.array_split(values, points)])


def encode(values: np.ndarray, points: int) -> str:
    """``(T,)`` values in [0, 1], NaN where unknown, as characters of `ALPHABET`."""
    reduced = reduce(values, points)
    levels = np.rint(np.nan_to_num(reduced).clip(0, 1) * (len(ALPHABET) - 1)).astype(int)
    return "".join(
        "." if unknown else ALPHABET[level]
        for unknown, level in zip(np.isnan(reduced), levels, strict=True)
    )
