"""Numbers of a study: means over objects, paired bootstrap over videos, calibration error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def mean_score(scores: Sequence[np.ndarray]) -> float:
    """Mean over all scored objects of all videos, as DAVIS and MOSE do; NaN without any."""
    total, count = sums(scores)
    return float(total.sum() / count.sum()) if count.sum() else float("nan")


def sums(scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Per video the sum over its scored objects, and how many there are."""
    total = np.array([np.nansum(s) for s in scores], dtype=np.float64)
    count = np.array([(~np.isnan(s)).sum() for s in scores])
    return total, count


def paired_interval(
    one: Sequence[np.ndarray], other: Sequence[np.ndarray], seed: int = 0
) -> tuple[float, float, float]:
    """Difference of the means of ``one`` and ``other``, with its 95 % interval.

    Both hold a ``(N,)`` array per video, of the same videos; videos are resampled with
    replacement, both sides together.
    """
    total, count = sums(one)
    other_total, other_count = sums(other)
    if not count.sum() or not other_count.sum():
        return float("nan"), float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(0, len(total), (RESAMPLES, len(total)))
    with np.errstate(invalid="ignore"):
        means = total[draws].sum(axis=1) / count[draws].sum(axis=1)
        means -= other_total[draws].sum(axis=1) / other_count[draws].sum(axis=1)
    low, high = np.nanpercentile(means, (2.5, 97.5))
    return float(mean_score(one) - mean_score(other)), float(low), float(high)


def paired_gain(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> tuple[float, float]:
    """Difference of the means of ``one`` and ``other`` over objects, and its standard error over
    videos; infinity with fewer than two. Both as for `paired_interval`."""
    total, count = sums(one)
    other_total, _ = sums(other)
    if not count.sum():
        return float("nan"), float("inf")
    difference = total - other_total
    gain = difference.sum() / count.sum()
    if len(count) < 2:
        return float(gain), float("inf")
    spread = (difference - gain * count).std(ddof=1)
    return float(gain), float(np.sqrt(len(count)) * spread / count.sum())


def calibration_error(stated: np.ndarray, came_true: np.ndarray) -> float:
    """Expected calibration error: |stated - observed| over bins of equal counts, weighted.

    stated      ``(V,)`` probabilities;  came_true ``(V,)`` bool

    There are as many bins as the cube root of V, 3 to 10.
    """
    if not len(stated):
        return float("nan")
    order = np.argsort(stated, kind="stable")
    bins = int(np.clip(round(len(stated) ** (1 / 3)), 3, 10))
    error = 0.0
    for part in np.array_split(order, min(bins, len(order))):
        error += len(part) * abs(stated[part].mean() - came_true[part].mean())
    return float(error / len(stated))


def error_of_chance(stated: np.ndarray, draws: int = 200, seed: int = 0) -> float:
    """The calibration error that perfectly calibrated probabilities would show on so few videos:
    its mean if events happen exactly as often as stated."""
    rng = np.random.default_rng(seed)
    errors = [calibration_error(stated, rng.random(len(stated)) < stated) for _ in range(draws)]
    return float(np.mean(errors))
