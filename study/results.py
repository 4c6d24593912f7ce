"""From the evidence of videos to what every way of selecting is worth. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selection.calibration import Calibration
from selection.evidence import Evidence, mean_over_objects
from selection.fitting import fit_recommender, fit_sureness, folds
from selection.outcome import false_presence, selected_truth
from selection.policies import SelectionOptions
from selection.risk import measure_risk
from selection.selectors import Choice, select
from selection.statistics import calibration_error, error_of_chance, mean_score
from selection.sureness import BEST_WITHIN, keys, state, sure_features

MIN_VIDEOS = 10
"""Fewer do not fit anything."""


@dataclass(frozen=True)
class Stated:
    """What was said of selections, and what came true; one entry per video or per object.

    probability, expected, low, high   ``(V,)``;  best ``(V,) bool``;  truth ``(V,)``
    """

    probability: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: np.ndarray
    truth: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error of the probabilities."""
        return calibration_error(self.probability, self.best)

    @property
    def chance(self) -> float:
        """The error that true statements would show on so few."""
        return error_of_chance(self.probability)

    @property
    def held(self) -> float:
        """Share of the truths inside their intervals."""
        return float(((self.low <= self.truth) & (self.truth <= self.high)).mean())

    @property
    def off(self) -> float:
        """Mean absolute error of the expected J&F."""
        return float(np.abs(self.expected - self.truth).mean())


@dataclass(frozen=True)
class Result:
    """One way to fuse with one way to select.

    truths      per video ``(N,)`` J&F of the selection
    presence    (object-frames with false pixels, object-frames looked at)
    fallbacks   videos on which the policy could not do what it is for
    """

    way: str
    policy: str
    granularity: str
    truths: list[np.ndarray]
    presence: tuple[int, int]
    fallbacks: int
    videos: Stated | None
    objects: Stated | None


@dataclass(frozen=True)
class Baselines:
    """What a selection is held against, per video ``(N,)`` J&F.

    members         member -> its own
    best            name of the member with the best mean, known in hindsight only
    oracle_member   the best member of each video, as it is selected (`Evidence.worth`)
    oracle_video    the best candidate of each video: a member or the pseudo-label
    oracle_object   the best candidate of each object
    """

    members: dict[str, list[np.ndarray]]
    best: str
    oracle_member: list[np.ndarray]
    oracle_video: list[np.ndarray]
    oracle_object: list[np.ndarray]


def baselines(videos: Sequence[Evidence]) -> Baselines:
    """Of videos with the same members."""
    truths = [evidence.truth() for evidence in videos]
    names = videos[0].members
    members = {name: [t[row] for t in truths] for row, name in enumerate(names)}
    means = {name: mean_score(scores) for name, scores in members.items()}
    truths = [evidence.worth() for evidence in videos]
    whole = [np.nan_to_num(mean_over_objects(t)) for t in truths]
    return Baselines(
        members,
        max(means, key=lambda name: means[name]),
        [t[int(w[:-1].argmax())] for t, w in zip(truths, whole, strict=True)],
        [t[int(w.argmax())] for t, w in zip(truths, whole, strict=True)],
        [np.where(np.isnan(t).all(axis=0), np.nan, np.nan_to_num(t).max(axis=0)) for t in truths],
    )


def calibrations(videos: Sequence[Evidence], known: Calibration | None) -> list[Calibration | None]:
    """For each video what may be known of it: the stored calibration, or else a recommender
    fitted on the videos of the other folds."""
    if known is not None and known.recommender is not None:
        return [known] * len(videos)
    given: list[Calibration | None] = [known] * len(videos)
    if len(videos) < MIN_VIDEOS:
        return given
    for fitted, held in folds(len(videos)):
        others = [videos[i] for i in fitted]
        model, risk = fit_recommender(others), measure_risk(others)
        for i in held:
            given[i] = Calibration("cross-validation", {}, {}, recommender=model, risk=risk)
    return given


def evaluate(
    way: str,
    videos: Sequence[Evidence],
    options: SelectionOptions,
    given: Sequence[Calibration | None],
    known: Calibration | None,
    sure: bool = True,
) -> Result:
    """Select on every video, and hold it against the labels.

    given   for each video what the policy may know
    sure    judge what is said of the selections, too
    """
    choices = [select(e, options, c) for e, c in zip(videos, given, strict=True)]
    pairs = list(zip(videos, choices, strict=True))
    false = np.array([false_presence(e, choice) for e, choice in pairs])
    on_videos, on_objects = stated(pairs, options, known) if sure else (None, None)
    return Result(
        way, options.policy, options.granularity,
        [selected_truth(e, choice) for e, choice in pairs],
        (int(false[:, 0].sum()), int(false[:, 1].sum())),
        sum(bool(choice.reason.fallbacks) for choice in choices),
        on_videos, on_objects,
    )  # fmt: skip


def stated(
    pairs: Sequence[tuple[Evidence, Choice]],
    options: SelectionOptions,
    known: Calibration | None,
) -> tuple[Stated | None, Stated | None]:
    """What is said of the selections, per video and per object: by the stored calibration, or
    else by one that was fitted on the videos of the other folds."""
    values, best, truth, owner = [], [], [], []
    whole_values: list[np.ndarray] = []
    whole_best: list[bool] = []
    whole_truth: list[float] = []
    for evidence, choice in pairs:
        table, taken = evidence.worth(), selected_truth(evidence, choice)
        known_objects = ~np.isnan(taken)
        if not known_objects.any():
            continue
        rows = sure_features(evidence, choice)
        values.append(rows[known_objects])
        best.append((taken >= np.nan_to_num(table).max(axis=0) - BEST_WITHIN)[known_objects])
        truth.append(taken[known_objects])
        owner.append(np.full(known_objects.sum(), len(whole_truth)))
        whole_values.append(rows.mean(axis=0))
        whole_truth.append(float(np.nanmean(taken)))
        reached = np.nanmax(mean_over_objects(table))
        whole_best.append(bool(whole_truth[-1] >= reached - BEST_WITHIN))
    if not whole_truth:
        return None, None
    key = keys(options)
    one = np.arange(len(whole_truth))
    whole = [np.asarray(part) for part in (whole_values, whole_best, whole_truth)]
    video = _state_each(whole[0], whole[1], whole[2], one, known, key[0])
    flat = [np.concatenate(part) for part in (values, best, truth, owner)]
    return video, _state_each(flat[0], flat[1], flat[2], flat[3], known, key[1])


def _state_each(
    values: np.ndarray,
    best: np.ndarray,
    truth: np.ndarray,
    owner: np.ndarray,
    known: Calibration | None,
    key: str,
) -> Stated | None:
    model = known.sureness.get(key) if known else None
    said = np.full((len(truth), 4), np.nan)
    count = int(owner.max()) + 1
    if model is not None:
        parts = [(model, np.ones(len(truth), bool))]
    elif count < MIN_VIDEOS:
        return None
    else:
        parts = []
        for fitted, held in folds(count, seed=1):
            inside = np.isin(owner, fitted)
            fit = fit_sureness(values[inside], truth[inside], best[inside])
            parts.append((fit, np.isin(owner, held)))
    for fit, chosen in parts:
        for i in np.flatnonzero(chosen):
            sure = state(fit, values[i])
            said[i] = sure.probability, sure.expected, sure.low, sure.high
    return Stated(said[:, 0], said[:, 1], said[:, 2], said[:, 3], best, truth)
