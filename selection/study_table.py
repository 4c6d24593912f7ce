"""From evidence to the table of a study. Pure functions, and the report that is written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selection import plots
from selection.calibration import Calibration
from selection.evidence import Evidence, mean_over_objects
from selection.fitting import fit_recommender, fit_sureness, folds
from selection.outcome import false_presence, selected_truth
from selection.policies import SelectionOptions
from selection.selectors import Choice, select
from selection.statistics import calibration_error, error_of_chance, mean_score, paired_interval
from selection.summary import format_table
from selection.sureness import BEST_WITHIN, keys, state, sure_features

LITTLE_ROOM = 0.005
"""J&F: where the oracle is no further above the best single member, no share is told."""

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
    oracle_member   the best member of each video
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
        model = fit_recommender([videos[i] for i in fitted])
        for i in held:
            given[i] = Calibration("cross-validation", {}, {}, recommender=model)
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
        sum("by agreement)" in choice.reason for choice in choices),
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
        table, taken = evidence.truth(), selected_truth(evidence, choice)
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
    video = _say(np.asarray(whole_values), np.asarray(whole_best), np.asarray(whole_truth), one,
                 known, key[0])  # fmt: skip
    flat = [np.concatenate(part) for part in (values, best, truth, owner)]
    return video, _say(flat[0], flat[1], flat[2], flat[3], known, key[1])


def _say(
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


@dataclass(frozen=True)
class Report:
    """The table of a study; scores are in [0, 1].

    rows       one per `Result`, as stored in study.json
    base       of the run's own fusion
    own        (way, policy, granularity) that the run itself used
    about      what it is about, in one sentence
    """

    rows: list[dict[str, Any]]
    base: dict[str, float]
    best: str
    own: tuple[str, str, str]
    about: str
    reliability: dict[str, Stated] = field(default_factory=dict)

    def table(self) -> str:
        """As it is printed: baselines, the run's own fusion, other rules, leave one out."""
        base = [[name, f"{100 * score:.1f}"] for name, score in self.base.items()]
        parts = [self.about, format_table(["without selecting", "J&F"], base)]
        way = self.own[0]
        main = [row for row in self.rows if row["rule"] == way]
        other = [r for r in self.rows if r["rule"] != way and " without " not in r["rule"]]
        other = [r for r in other if r["granularity"] == "video"]
        rest = [r for r in self.rows if " without " in r["rule"] and r["granularity"] == "video"]
        for title, rows in (("", main), ("other rules", other), ("leave one out", rest)):
            if rows:
                parts.append((f"{title}\n" if title else "") + format_table(HEADS, _cells(rows)))
        return "\n\n".join(parts)

    def csv(self) -> str:
        """One line per row."""
        out = io.StringIO()
        writer = csv.DictWriter(out, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()

    def json(self) -> dict[str, Any]:
        """Everything but the plots."""
        return {
            "about": self.about,
            "best_single": self.best,
            "own": dict(zip(("rule", "policy", "granularity"), self.own, strict=True)),
            "without_selecting": self.base,
            "rows": self.rows,
        }

    def save(self, folder: str | Path) -> None:
        """Table, CSV, JSON and plots."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "study.txt").write_text(self.table() + "\n", encoding="utf-8")
        (folder / "study.csv").write_text(self.csv(), encoding="utf-8")
        (folder / "study.json").write_text(json.dumps(self.json(), indent=1), encoding="utf-8")
        bars: list[tuple[str, float, tuple[float, float] | None]]
        bars = [(name, score, None) for name, score in self.base.items()]
        for row in self.rows:
            if row["rule"] == self.own[0] or row["policy"] == "pseudo-label":
                name = f"{row['rule']}, {row['policy']}, {row['granularity']}"
                best = self.base[BEST]
                ends = (best + row["gain_low"], best + row["gain_high"])
                if " without " not in name:
                    bars.append((name, row["J&F"], ends))
        (folder / "bars.svg").write_text(plots.bars(bars, self.base[BEST]), encoding="utf-8")
        points = {
            name: (said.probability, said.best.astype(float))
            for name, said in self.reliability.items()
        }
        (folder / "calibration.svg").write_text(plots.reliability(points), encoding="utf-8")


BEST, ORACLE = "best single in hindsight", "oracle per video"
HEADS = [
    "rule", "policy", "granularity", "J&F", "gain", "95 %", "recovered", "false", "ECE", "chance",
    "objects", "held",
]  # fmt: skip


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    def percent(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{100 * value:.{digits}f}"

    return [
        [
            row["rule"], row["policy"], row["granularity"], percent(row["J&F"], 1),
            f"{100 * row['gain']:+.1f}",
            f"{100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f}",
            percent(row["recovered"]), percent(row["false_presence"], 1),
            *("" if row[key] is None else f"{row[key]:.2f}"
              for key in ("ece_video", "chance_video", "ece_object")),
            percent(row["held_video"]),
        ]
        for row in rows
    ]  # fmt: skip


def compare(
    results: Sequence[Result],
    bases: Mapping[str, Baselines],
    main_way: str,
    own: SelectionOptions,
    fitted: str | None,
) -> Report:
    """Hold every result against the best single member and the oracle of its own ensemble."""
    rows = [row_of(result, bases[result.way]) for result in results]
    base = bases[main_way]
    shown = {name: mean_score(scores) for name, scores in base.members.items()}
    shown[BEST] = shown[base.best]
    shown["oracle per video, members only"] = mean_score(base.oracle_member)
    shown[ORACLE] = mean_score(base.oracle_video)
    shown["oracle per object"] = mean_score(base.oracle_object)
    videos = len(base.oracle_video)
    objects = sum(len(scores) for scores in base.oracle_video)
    source = f"calibration {fitted}" if fitted else "cross-validation over the videos"
    about = (
        f"{videos} videos, {objects} objects; best single: {base.best}; recommender and"
        f" probabilities by {source}"
    )
    reliability = {}
    for result in results:
        if result.way == main_way and result.policy == own.policy:
            if result.granularity != own.granularity:
                continue
            for level, said in (("videos", result.videos), ("objects", result.objects)):
                if said is not None:
                    reliability[level] = said
    return Report(
        rows, shown, base.best, (main_way, own.policy, own.granularity), about, reliability
    )  # fmt: skip


def row_of(result: Result, base: Baselines) -> dict[str, Any]:
    """One line of the table; ``recovered`` is the share of the distance from the best single
    member to the oracle per video, None where that is less than `LITTLE_ROOM`."""
    best = base.members[base.best]
    gain, low, high = paired_interval(result.truths, best)
    room = mean_score(base.oracle_video) - mean_score(best)
    means = [np.nanmean(t) - np.nanmean(b) for t, b in zip(result.truths, best, strict=True)
             if not np.isnan(t).all()]  # fmt: skip
    false, looked = result.presence
    row: dict[str, Any] = {
        "rule": result.way,
        "policy": result.policy,
        "granularity": result.granularity,
        "J&F": mean_score(result.truths),
        "best_single": mean_score(best),
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "recovered": gain / room if room >= LITTLE_ROOM else None,
        "regret": mean_score(base.oracle_video) - mean_score(result.truths),
        "videos_above": int(sum(m > BEST_WITHIN for m in means)),
        "videos_below": int(sum(m < -BEST_WITHIN for m in means)),
        "false_presence": false / looked if looked else None,
        "absent_object_frames": looked,
        "fallbacks": result.fallbacks,
    }
    for level, said in (("video", result.videos), ("object", result.objects)):
        row[f"ece_{level}"] = said.error if said else None
        row[f"chance_{level}"] = said.chance if said else None
        row[f"held_{level}"] = said.held if said else None
        row[f"off_{level}"] = said.off if said else None
    return {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}
