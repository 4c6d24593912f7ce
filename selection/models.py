"""Small fitted models in plain numbers: what a `selection.calibration.Calibration` holds.

`selection.fitting` fits them; applying them takes numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function; constant beyond its ends. ``x`` ascends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __call__(self, values: np.ndarray | float) -> np.ndarray:
        return np.asarray(np.interp(values, self.x, self.y))


@dataclass(frozen=True)
class FeatureWeights:
    """What a feature counts for; never negative, so that nothing that looks better is worth less.

    level      is the weight of its mean over an object's candidates: how hard the object is
    relative   is the weight of what a candidate has above that mean
    """

    level: float
    relative: float


@dataclass(frozen=True)
class MaskQuality:
    """The expected J&F of masks: a logistic model, additive and monotone in its features.

    features    feature of `selection.features.FEATURES` -> its weights
    fused       is added for the pseudo-label
    intercept   is added for all
    error       is the root mean squared error of an object's J&F on videos that were not fitted
    """

    features: dict[str, FeatureWeights]
    fused: float
    intercept: float
    error: float

    def __call__(self, odds: np.ndarray) -> np.ndarray:
        """``(T, C, N, K)`` of `selection.features.features` -> ``(T, C, N)`` in (0, 1), NaN where
        the object is not scored. The last candidate is the pseudo-label."""
        level = np.asarray([weights.level for weights in self.features.values()])
        relative = np.asarray([weights.relative for weights in self.features.values()])
        total = level_and_relative(odds) @ np.concatenate([level, relative]) + self.intercept
        total[:, -1] += self.fused
        return expit(total)


def level_and_relative(odds: np.ndarray) -> np.ndarray:
    """``(T, C, N, K)`` -> ``(T, C, N, 2 K)``: the means over candidates, then what is above."""
    level = np.broadcast_to(odds.mean(axis=1, keepdims=True), odds.shape)
    return np.concatenate([level, odds - level], axis=-1)


@dataclass(frozen=True)
class Logistic:
    """Probability or score in (0, 1): log odds that are a weighted sum of named values."""

    weights: dict[str, float]
    intercept: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """``(..., K)`` values in the order of `weights` -> ``(...)``."""
        return expit(values @ np.asarray(list(self.weights.values())) + self.intercept)


@dataclass(frozen=True)
class Sureness:
    """Predicts how sure a selection is, see `selection.sureness`.

    best        gives the probability that the selection is the best candidate
    expected    gives its J&F
    low, high   are added to the log odds of the expected J&F for the ends of the interval
    level       share of truths that the interval holds
    """

    best: Logistic
    expected: Logistic
    low: float
    high: float
    level: float
