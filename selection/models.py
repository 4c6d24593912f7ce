"""Small fitted models in plain numbers: what a `selection.calibration.Calibration` holds.

`selection.fitting` fits them; applying them takes numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function; constant beyond its ends. ``x`` ascends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        return np.asarray(np.interp(values, self.x, self.y))


@dataclass(frozen=True)
class Linear:
    """A weighted sum of named features.

    names      of the features
    mean, scale   each feature is taken as ``(value - mean) / scale``
    weights, intercept
    low, high  range of each feature's mean over a video, among those it was fitted on
    error      root mean squared error on videos that it was not fitted on
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    error: float = 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """``(..., K)`` features -> ``(...)``."""
        scaled = (values - np.asarray(self.mean)) / np.asarray(self.scale)
        return scaled @ np.asarray(self.weights) + self.intercept

    def outside(self, values: np.ndarray, margin: float = 0.25) -> tuple[str, ...]:
        """Features whose mean over ``(..., K)`` lies beyond the fitted range, widened by
        ``margin`` of itself on both sides."""
        if not self.low:
            return ()
        low, high = np.asarray(self.low), np.asarray(self.high)
        means = values.reshape(-1, values.shape[-1]).mean(axis=0)
        room = margin * (high - low) + 1e-6
        beyond = (means < low - room) | (means > high + room)
        return tuple(name for name, far in zip(self.names, beyond, strict=True) if far)


@dataclass(frozen=True)
class Tree:
    """A regression tree; row 0 is its root.

    feature     ``(R,)`` column that a row asks about; -1: a leaf
    threshold   ``(R,)`` a value up to which goes to ``low``, else to ``high``
    low, high   ``(R,)`` rows
    value       ``(R,)`` of the leaves
    """

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    value: tuple[float, ...]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """``(P, K)`` -> ``(P,)``."""
        feature, threshold = np.asarray(self.feature), np.asarray(self.threshold)
        low, high = np.asarray(self.low), np.asarray(self.high)
        at, every = np.zeros(len(rows), dtype=np.intp), np.arange(len(rows))
        while (inner := feature[at] >= 0).any():
            down = np.where(rows[every, feature[at]] <= threshold[at], low[at], high[at])
            at = np.where(inner, down, at)
        return np.asarray(self.value)[at]


@dataclass(frozen=True)
class Recommender:
    """Expected J&F of every candidate.

    A weighted sum predicts how good the candidates of an object are on the whole. How they differ
    is the mean of two predictions, of that sum and of the trees, because each errs where the other
    does not.

    linear    of `selection.features`
    offsets   candidate -> its J&F beyond what its features predict
    trees     of the same features, summed: what a candidate is worth beyond ``gains``, the mean
              of an object's candidates taken off
    gains     candidate -> its mean J&F
    """

    linear: Linear
    offsets: Mapping[str, float] = field(default_factory=dict)
    trees: tuple[Tree, ...] = ()
    gains: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, values: np.ndarray, candidates: Sequence[str]) -> np.ndarray:
        """``(C, N, K)`` features -> ``(C, N)``."""
        expected = self.linear(values) + _column(self.offsets, candidates)
        if not self.trees:
            return expected
        # scikit-learn's trees were grown on numbers of this precision
        rows = values.reshape(-1, values.shape[-1]).astype(np.float32)
        offset = np.sum([tree(rows) for tree in self.trees], axis=0).reshape(expected.shape)
        offset = offset + _column(self.gains, candidates)
        middle = expected.mean(axis=0)
        return middle + (expected - middle + offset - offset.mean(axis=0)) / 2

    def stranger(self, candidates: Sequence[str]) -> str | None:
        """The first candidate that is unknown to the fit."""
        return next((n for n in candidates if self.offsets and n not in self.offsets), None)


@dataclass(frozen=True)
class Sureness:
    """Predicts from features of a selection how sure it is, see `selection.sureness`.

    probability    log odds that the selection is the best candidate
    expected       its J&F
    low, high      curves: expected J&F -> ends of the interval
    level          share of truths that the interval holds
    """

    probability: Linear
    expected: Linear
    low: Curve
    high: Curve
    level: float


def _column(values: Mapping[str, float], candidates: Sequence[str]) -> np.ndarray:
    return np.asarray([values.get(name, 0.0) for name in candidates])[:, None]
