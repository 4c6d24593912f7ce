"""From the evidence of videos to what every way of selecting is worth. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selection.calibration import LEVELS, Calibration, expected_quality
from selection.evidence import Evidence, mean_over_objects
from selection.fitting import fit_sureness, folds
from selection.models import Sureness
from selection.outcome import false_presence, selected_truth
from selection.policies import SelectionOptions
from selection.risk import starting_member
from selection.selectors import Choice, select
from selection.statistics import calibration_error, error_of_chance, mean_score
from selection.sureness import BEST_WITHIN, state, sure_features
from study.crossfit import MIN_VIDEOS


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
    first           name of the member of the best prior
    oracle_member   the best member of each video, as it is selected (`Evidence.worth`)
    oracle_video    the best candidate of each video: a member or the pseudo-label
    oracle_object   the best candidate of each object
    """

    members: dict[str, list[np.ndarray]]
    best: str
    first: str
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
        names[starting_member(videos[0])],
        [t[int(w[:-1].argmax())] for t, w in zip(truths, whole, strict=True)],
        [t[int(w.argmax())] for t, w in zip(truths, whole, strict=True)],
        [np.where(np.isnan(t).all(axis=0), np.nan, np.nan_to_num(t).max(axis=0)) for t in truths],
    )


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
    said = zip(videos, choices, given, strict=True)
    on_videos, on_objects = stated(list(said), known) if sure else (None, None)
    return Result(
        way, options.policy, options.granularity,
        [selected_truth(e, choice) for e, choice in pairs],
        (int(false[:, 0].sum()), int(false[:, 1].sum())),
        sum(bool(choice.reason.fallbacks) for choice in choices),
        on_videos, on_objects,
    )  # fmt: skip


Selected = tuple[Evidence, Choice, Calibration | None]
"""A video, what was selected of it, and what was known of it."""


@dataclass(frozen=True)
class Judged:
    """Selections of videos or of objects with what is seen of them and what came true, P of them.

    values   ``(P, K)`` `selection.sureness.SURE_FEATURES`
    truth    ``(P,)`` J&F
    best     ``(P,) bool``: they are as good as the best candidate
    owner    ``(P,)`` number of the video
    """

    values: np.ndarray
    truth: np.ndarray
    best: np.ndarray
    owner: np.ndarray

    def fit(self, videos: np.ndarray | None = None) -> Sureness:
        """What can be said of such selections, by those of some videos; None: by all."""
        chosen = np.ones(len(self.owner), bool) if videos is None else np.isin(self.owner, videos)
        return fit_sureness(self.values[chosen], self.truth[chosen], self.best[chosen])


def judged(selected: Sequence[Selected]) -> dict[str, Judged]:
    """One of `selection.calibration.LEVELS` -> the selections; empty where none is scored."""
    whole: list[tuple[np.ndarray, float, bool, int]] = []
    single: list[tuple[np.ndarray, float, bool, int]] = []
    for evidence, choice, calibration in selected:
        table, taken = evidence.worth(), selected_truth(evidence, choice)
        known, owner = np.flatnonzero(~np.isnan(taken)), len(whole)
        if not len(known):
            continue
        values = sure_features(evidence, choice, expected_quality(evidence, calibration))
        best = taken >= np.nan_to_num(table).max(axis=0) - BEST_WITHIN
        single += [(values[n], float(taken[n]), bool(best[n]), owner) for n in known]
        mean, reached = float(taken[known].mean()), float(np.nanmax(mean_over_objects(table)))
        whole.append((values.mean(axis=0), mean, mean >= reached - BEST_WITHIN, owner))
    return {
        level: Judged(*(np.asarray(column) for column in zip(*rows, strict=True)))
        for level, rows in zip(LEVELS, (whole, single), strict=True)
        if rows
    }


def stated(
    selected: Sequence[Selected], known: Calibration | None
) -> tuple[Stated | None, Stated | None]:
    """What is said of the selections, per video and per object: by the stored calibration, or
    else by fits on the videos of the other folds."""
    tables = judged(selected)
    if not tables:
        return None, None
    videos, objects = (
        _state_each(tables[level], known.sureness.get(level) if known else None) for level in LEVELS
    )
    return videos, objects


def _state_each(table: Judged, model: Sureness | None) -> Stated | None:
    said, count = np.full((len(table.truth), 4), np.nan), int(table.owner.max()) + 1
    if model is not None:
        parts = [(model, np.arange(count))]
    elif count < MIN_VIDEOS:
        return None
    else:
        parts = [(table.fit(fitted), held) for fitted, held in folds(count, seed=1)]
    for fit, held in parts:
        for i in np.flatnonzero(np.isin(table.owner, held)):
            sure = state(fit, table.values[i])
            said[i] = sure.probability, sure.expected, sure.low, sure.high
    return Stated(said[:, 0], said[:, 1], said[:, 2], said[:, 3], table.best, table.truth)
