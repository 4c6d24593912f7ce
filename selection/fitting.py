"""Fits what a `selection.calibration.Calibration` holds. The only module that needs scikit-learn,
which it imports where it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from selection.evidence import Evidence
from selection.features import NAMES, features
from selection.models import Curve, Linear, Recommender, Sureness, Tree
from selection.sureness import SURE_FEATURES

FOLDS = 5
ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Strengths of the ridge penalty that cross-validation chooses from."""

KNOTS = 12
"""Points of a confidence curve at most."""

LEVEL = 0.8
"""Share of the true values that an interval is made to hold."""

BOOSTING = {
    "n_estimators": 100,
    "learning_rate": 0.06,
    "max_depth": None,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 15,
    "subsample": 0.7,
    "max_features": 0.5,
    "random_state": 0,
    "init": "zero",
}
"""Gradient boosting (Friedman 2001) of the recommender's trees; a leaf is a few objects."""

C_LOGISTIC = 0.05
"""Inverse strength of the penalty: there are tens of videos, not thousands."""


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


def fit_curve(confidence: np.ndarray, truth: np.ndarray) -> Curve:
    """Isotonic regression of the J of masks on the confidence that came with them.

    ``(P,)`` each, NaN left out. Kept as at most `KNOTS` points at quantiles of the confidence.
    """
    from sklearn.isotonic import IsotonicRegression

    known = ~(np.isnan(confidence) | np.isnan(truth))
    x, y = confidence[known].astype(np.float64), truth[known].astype(np.float64)
    if len(x) == 0:
        return Curve((0.0, 1.0), (0.0, 1.0))
    model = IsotonicRegression(out_of_bounds="clip").fit(x, y)
    knots = np.unique(np.round(np.quantile(x, np.linspace(0, 1, KNOTS)), 6))
    return Curve(tuple(map(float, knots)), tuple(map(float, model.predict(knots))))


def fit_recommender(videos: Sequence[Evidence]) -> Recommender:
    """Ridge regression of the candidates' J&F on `selection.features` and on which candidate it
    is, and trees for how the candidates of an object differ.

    Without knowing which candidate it is, the regression would pass over a member that is far
    better than it looks beside the others. The strength of the penalty is the one with the least
    error in
    cross-validation over videos; ``error`` is that error.
    """
    names = tuple(dict.fromkeys(name for evidence in videos for name in evidence.candidates))
    tables = [rows_of(evidence, names) for evidence in videos]
    errors = dict.fromkeys(ALPHAS, 0.0)
    for fitted, held in folds(len(tables)):
        x, y = _stacked([tables[i] for i in fitted])
        held_x, held_y = _stacked([tables[i] for i in held])
        if not len(y) or not len(held_y):
            continue
        mean, scale = _scaling(x)
        for alpha in ALPHAS:
            weights, intercept = _ridge((x - mean) / scale, y, alpha)
            guess = (held_x - mean) / scale @ weights + intercept
            errors[alpha] += float(((guess - held_y) ** 2).sum())
    alpha = min(ALPHAS, key=lambda a: (errors[a], -a))
    x, y = _stacked(tables)
    mean, scale = _scaling(x)
    weights, intercept = _ridge((x - mean) / scale, y, alpha)
    means = np.stack([features(e).reshape(-1, len(NAMES)).mean(axis=0) for e in videos])
    count = len(NAMES)
    own = weights[count:] / scale[count:]
    linear = Linear(
        NAMES, _tuple(mean[:count]), _tuple(scale[:count]), _tuple(weights[:count]),
        intercept - float(own @ mean[count:]),
        _tuple(means.min(axis=0)), _tuple(means.max(axis=0)),
        float(np.sqrt(errors[alpha] / max(len(y), 1))),
    )  # fmt: skip
    offsets = dict(zip(names, _tuple(own), strict=True))
    if not len(y):
        return Recommender(linear, offsets)
    gains = dict(zip(names, _tuple(_means(x[:, count:], y)), strict=True))
    return Recommender(linear, offsets, _grown(videos, gains), gains)


def _means(which: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``(M,)`` means of ``(P,)`` where ``which`` ``(P, M)`` is 1; of all where it never is."""
    count = which.sum(axis=0)
    return np.where(count > 0, which.T @ truth / np.maximum(count, 1), truth.mean())


def _grown(videos: Sequence[Evidence], gains: Mapping[str, float]) -> tuple[Tree, ...]:
    """Trees that predict what a candidate is worth beyond ``gains``, relative to the object's other
    candidates."""
    from sklearn.ensemble import GradientBoostingRegressor

    rows, wanted = [], []
    for evidence in videos:
        truth = evidence.worth()
        known = ~np.isnan(truth).any(axis=0)
        beyond = truth - np.array([gains[name] for name in evidence.candidates])[:, None]
        wanted.append((beyond - beyond.mean(axis=0))[:, known].ravel())
        rows.append(features(evidence)[:, known].reshape(-1, len(NAMES)))
    x, y = np.concatenate(rows), np.concatenate(wanted)
    if not len(y):
        return ()
    model = GradientBoostingRegressor(**BOOSTING).fit(x, y)
    return tuple(tree_of(one.tree_, model.learning_rate) for one in model.estimators_[:, 0])


def tree_of(grown: Any, rate: float) -> Tree:
    """A tree of scikit-learn, its values times ``rate``."""
    return Tree(
        tuple(int(at) if at >= 0 else -1 for at in grown.feature),
        _tuple(grown.threshold),
        tuple(map(int, grown.children_left)),
        tuple(map(int, grown.children_right)),
        _tuple(rate * grown.value[:, 0, 0]),
    )


def rows_of(evidence: Evidence, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """``(P, K)`` features of every scored candidate and object, and ``(P,)`` its J&F if it is
    selected.

    After the features, a 1 for the candidate among ``names`` that it is.
    """
    truth = evidence.worth()
    known = ~np.isnan(truth)
    which = np.array([[name == own for name in names] for own in evidence.candidates], float)
    which = np.broadcast_to(which[:, None], (*truth.shape, len(names)))
    return np.concatenate([features(evidence), which], axis=-1)[known], truth[known]


def fit_sureness(values: np.ndarray, truth: np.ndarray, best: np.ndarray) -> Sureness:
    """From features of selections to how sure they are.

    values   ``(V, K)`` `selection.sureness.SURE_FEATURES`
    truth    ``(V,)`` J&F of the selections
    best     ``(V,) bool`` whether they were the best candidates
    """
    names = tuple(SURE_FEATURES)
    mean, scale = _scaling(values)
    scaled = (values - mean) / scale
    weights, intercept = _logistic(scaled, best)
    probability = Linear(names, _tuple(mean), _tuple(scale), _tuple(weights), intercept)
    weights, intercept = _ridge(scaled, truth)
    guess = np.zeros(len(truth))
    for fitted, held in folds(len(truth)):
        w, b = _ridge(scaled[fitted], truth[fitted]) if len(fitted) else (weights, intercept)
        guess[held] = (scaled[held] @ w + b).clip(0, 1)
    error = float(np.sqrt(np.mean((guess - truth) ** 2)))
    expected = Linear(
        names, _tuple(mean), _tuple(scale), _tuple(weights), intercept, error=error
    )  # fmt: skip
    return Sureness(probability, expected, *_interval(guess, truth), LEVEL)


def _interval(guess: np.ndarray, truth: np.ndarray) -> tuple[Curve, Curve]:
    """Curves of the interval's ends: quantiles of the errors of guesses that are alike."""
    parts = np.array_split(np.argsort(guess, kind="stable"), max(min(3, len(guess) // 12), 1))
    xs: list[float] = []
    lows: list[float] = []
    highs: list[float] = []
    for part in parts:
        x = float(np.median(guess[part]))
        if xs and x <= xs[-1]:
            continue
        # wider by 1 / n than the plain quantiles, as in conformal prediction
        tail = max((1 - LEVEL) / 2 - 0.5 / max(len(part), 1), 0.0)
        low, high = np.quantile(truth[part] - guess[part], (tail, 1 - tail))
        xs.append(x)
        lows.append(x + float(low))
        highs.append(x + float(high))
    if len(xs) == 1:  # the interval moves along with the guess
        shift = lows[0] - xs[0], highs[0] - xs[0]
        return Curve((0.0, 1.0), (shift[0], 1 + shift[0])), Curve(
            (0.0, 1.0), (shift[1], 1 + shift[1])
        )
    ends = (0.0, *xs, 1.0)
    low_ends = (lows[0] - xs[0], *lows, 1 + lows[-1] - xs[-1])
    high_ends = (highs[0] - xs[0], *highs, 1 + highs[-1] - xs[-1])
    return Curve(ends, low_ends), Curve(ends, high_ends)


def _logistic(scaled: np.ndarray, best: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights and intercept of the log odds; the plain rate where all are the same."""
    rate = (best.sum() + 1) / (len(best) + 2)
    if len(np.unique(best)) < 2:
        return np.zeros(scaled.shape[1]), float(np.log(rate / (1 - rate)))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C_LOGISTIC, max_iter=1000).fit(scaled, best)
    return model.coef_[0], float(model.intercept_[0])


def _ridge(scaled: np.ndarray, truth: np.ndarray, alpha: float = 10.0) -> tuple[np.ndarray, float]:
    """Weights and intercept of the ridge regression, in closed form; the intercept is free."""
    middle, level = scaled.mean(axis=0), truth.mean()
    centred = scaled - middle
    square = centred.T @ centred + alpha * np.eye(scaled.shape[1])
    weights = np.linalg.solve(square, centred.T @ (truth - level))
    return weights, float(level - middle @ weights)


def _stacked(tables: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if not tables:
        return np.zeros((0, 0)), np.zeros(0)
    return np.concatenate([x for x, _ in tables]), np.concatenate([y for _, y in tables])


def _scaling(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, scale = values.mean(axis=0), values.std(axis=0)
    return mean, np.where(scale > 1e-6, scale, 1.0)


def _tuple(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
