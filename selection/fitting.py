"""Fits what a `selection.calibration.Calibration` holds, from evidence with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

from selection.evidence import Evidence, mean_over_frames
from selection.features import FEATURES, features
from selection.models import (
    Curve,
    FeatureWeights,
    Logistic,
    MaskQuality,
    Sureness,
    level_and_relative,
)
from selection.quality import log_odds
from selection.sureness import SURE_FEATURES
from stseg.threads import one_thread

FOLDS = 5

KNOTS = 12
"""Points of a confidence curve at most."""

LEVEL = 0.8
"""Share of the true values that an interval is made to hold."""

PENALTY = 1.0
"""Of the squared weights of features scaled to one, against the summed loss of objects."""


def folds(count: int, parts: int = FOLDS, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(fitted, held out) indices of ``count`` videos, each held out once."""
    order = np.random.default_rng(seed).permutation(count)
    for held in np.array_split(order, min(parts, count)):
        if len(held):
            yield np.setdiff1d(order, held), np.sort(held)


def fit_prior(truths: Sequence[np.ndarray]) -> float:
    """Mean J&F over all scored objects, moved slightly towards 0.5 so that it is never 0 or 1."""
    scores = np.concatenate([t[~np.isnan(t)] for t in truths] or [np.zeros(0)])
    return float((scores.sum() + 0.5) / (len(scores) + 1))


def fit_curve(said: np.ndarray, truth: np.ndarray) -> Curve:
    """Isotonic regression of what came true on what was said, ``(P,)`` each, NaN left out.

    Kept as at most `KNOTS` points at quantiles of what was said.
    """
    known = ~(np.isnan(said) | np.isnan(truth))
    x, y = said[known].astype(np.float64), truth[known].astype(np.float64)
    if len(x) == 0:
        return Curve((0.0, 1.0), (0.0, 1.0))
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(inverse, y) / counts
    rising = isotonic_regression(means, weights=counts).x
    knots = np.unique(np.round(np.quantile(x, np.linspace(0, 1, KNOTS)), 6))
    return Curve(tuple(map(float, knots)), tuple(map(float, np.interp(knots, values, rising))))


def fit_quality(videos: Sequence[Evidence]) -> MaskQuality:
    """Logistic regression of the J&F of every candidate's mask of every object and frame on
    `selection.features`, with weights that are never negative. Objects count alike.

    ``error`` is measured by cross-validation over videos.
    """
    tables = [_rows_of(evidence) for evidence in videos]
    missed = []
    for fitted, held in folds(len(videos)):
        model = _fit([tables[i] for i in fitted])
        for i in held:
            said = mean_over_frames(model(features(videos[i])))
            missed.append((said - mean_over_frames(videos[i].worth_by_frame())).ravel())
    errors = np.concatenate(missed or [np.zeros(0)])
    errors = errors[~np.isnan(errors)]
    error = float(np.sqrt(np.mean(errors**2))) if len(errors) else 0.0
    return replace(_fit(tables), error=error)


def cross_fitted(videos: Sequence[Evidence], leave_out: str | None = None) -> list[np.ndarray]:
    """Per video ``(T, C, N)``: its masks' expected J&F by a model of the videos of other folds.

    leave_out   a feature that the models do not have
    """
    tables = [_rows_of(evidence) for evidence in videos]
    if leave_out is not None:
        at = list(FEATURES).index(leave_out)
        for x, _, _ in tables:
            x[:, [at, len(FEATURES) + at]] = 0.0  # the penalty leaves their weights at 0
    said: list[np.ndarray] = [np.zeros(0)] * len(videos)
    for fitted, held in folds(len(videos)):
        model = _fit([tables[i] for i in fitted])
        for i in held:
            said[i] = model(features(videos[i]))
    return said


def _rows_of(evidence: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(P, 2 K + 1)`` features, ``(P,)`` J&F and ``(P,)`` weights, 1 in all for each object and
    candidate."""
    odds, truth = features(evidence), evidence.worth_by_frame()
    known = ~np.isnan(truth) & ~np.isnan(odds).any(axis=-1)
    fused = np.zeros((*truth.shape, 1))
    fused[:, -1] = 1.0
    weight = np.broadcast_to(1 / np.maximum(known.sum(axis=0), 1), truth.shape)
    rows = np.concatenate([level_and_relative(odds), fused], axis=-1)
    return rows[known], truth[known], weight[known]


def _fit(tables: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> MaskQuality:
    x, y, weight = (np.concatenate(column) for column in zip(*tables, strict=True))
    count = len(FEATURES)
    weights, intercept = fit_logistic(x, y, weight, rising=2 * count)
    by_name = {
        name: FeatureWeights(float(weights[k]), float(weights[count + k]))
        for k, name in enumerate(FEATURES)
    }
    return MaskQuality(by_name, float(weights[-1]), intercept, 0.0)


def fit_logistic(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, rising: int
) -> tuple[np.ndarray, float]:
    """Weights ``(K,)`` and intercept of the log odds of ``y`` ``(P,)`` in [0, 1] by ``x``
    ``(P, K)``; those of the first ``rising`` columns are never negative."""
    scale = x.std(axis=0) if len(x) else np.ones(x.shape[1])
    scale = np.where(scale > 1e-6, scale, 1.0)
    scaled = x / scale

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        z = scaled @ p[:-1] + p[-1]
        off = weight * (expit(z) - y)
        total = float((weight * (np.logaddexp(0, z) - y * z)).sum())
        total += PENALTY / 2 * float((p[:-1] ** 2).sum())
        return total, np.append(scaled.T @ off + PENALTY * p[:-1], off.sum())

    bounds = [(0, None)] * rising + [(None, None)] * (x.shape[1] - rising + 1)
    start = np.zeros(x.shape[1] + 1)
    with one_thread():  # there are a dozen numbers
        fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return fitted.x[:-1] / scale, float(fitted.x[-1])


def fit_sureness(values: np.ndarray, truth: np.ndarray, best: np.ndarray) -> Sureness:
    """From features of selections to how sure they are.

    values   ``(V, K)`` `selection.sureness.SURE_FEATURES`
    truth    ``(V,)`` J&F of the selections
    best     ``(V,) bool`` whether they were the best candidates
    """
    guess = np.zeros(len(truth))
    for fitted, held in folds(len(truth)):
        guess[held] = _logistic(values[fitted], truth[fitted])(values[held])
    # wider by 1 / n than the plain quantiles, as in conformal prediction
    tail = max((1 - LEVEL) / 2 - 0.5 / max(len(truth), 1), 0.0)
    low, high = np.quantile(log_odds(truth) - log_odds(guess), (tail, 1 - tail))
    best_by, expected = _logistic(values, best.astype(float)), _logistic(values, truth)
    return Sureness(best_by, expected, float(low), float(high), LEVEL)


def _logistic(values: np.ndarray, truth: np.ndarray) -> Logistic:
    weights, intercept = fit_logistic(values, truth, np.ones(len(truth)), rising=2)
    return Logistic(dict(zip(SURE_FEATURES, map(float, weights), strict=True)), intercept)
