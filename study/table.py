"""The table of a study, as it is printed and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from selection.policies import SelectionOptions
from selection.statistics import mean_score, paired_interval
from selection.sureness import BEST_WITHIN
from stseg.cli import counted
from stseg.files import Json, write_json, write_text
from stseg.tables import format_table
from study import plots
from study.choice import ChoiceReport
from study.results import Baselines, Result, Stated

LITTLE_ROOM = 0.005
"""J&F: where the oracle is no further above the best single member, no share is told."""


@dataclass(frozen=True)
class StatedWorth:
    """How far what a selection says of itself holds, see `Stated`; all None where it says nothing.

    ece      expected calibration error of its probabilities
    chance   the error that true probabilities would show on so few
    held     share of the truths inside their intervals
    off      mean absolute error of the expected J&F
    """

    ece: float | None = None
    chance: float | None = None
    held: float | None = None
    off: float | None = None

    @classmethod
    def of(cls, stated: Stated | None) -> StatedWorth:
        """Rounded to as many digits as are stored."""
        if stated is None:
            return cls()
        values = (stated.error, stated.chance, stated.held, stated.off)
        return cls(*(rounded(value) for value in values))


@dataclass(frozen=True)
class StudyRow:
    """What one way to fuse with one way to select is worth; scores are J&F in [0, 1].

    score                  its mean over all objects of all videos
    best_single            that of the best single member of the same ensemble
    gain                   the distance between the two, and the ends of its 95 % interval
    above_prior            the same against the member of the best prior, which needs no hindsight
    recovered              share of the distance from the best single member to the oracle per
                           video, None where that is less than `LITTLE_ROOM`
    regret                 what is missing to the oracle per video
    videos_above           number of videos on which it beats the best single member clearly
    videos_below           number of those on which it is clearly worse
    false_presence         share of the object-frames with an absent object that show it, None
                           where no object is absent
    absent_object_frames   number of those object-frames
    fallbacks              number of videos on which the policy could not do what it is for
    """

    rule: str
    policy: str
    granularity: str
    score: float
    best_single: float
    gain: float
    gain_low: float
    gain_high: float
    above_prior: float
    above_prior_low: float
    above_prior_high: float
    recovered: float | None
    regret: float
    videos_above: int
    videos_below: int
    false_presence: float | None
    absent_object_frames: int
    fallbacks: int
    videos: StatedWorth
    objects: StatedWorth

    def json(self) -> dict[str, str | float | int | None]:
        """As it is stored in study.json and study.csv."""
        stored = {"J&F" if key == "score" else key: value for key, value in asdict(self).items()}
        for level, key in (("video", "videos"), ("object", "objects")):
            stored |= {f"{name}_{level}": value for name, value in stored.pop(key).items()}
        return stored


@dataclass(frozen=True)
class StudyReport:
    """The table of a study; scores are in [0, 1].

    rows       one per `Result`
    base       of the run's own fusion
    own        (way, policy, granularity) that the run itself used
    about      what it is about, in one sentence
    """

    rows: list[StudyRow]
    base: dict[str, float]
    best: str
    own: tuple[str, str, str]
    about: str
    reliability: dict[str, Stated] = field(default_factory=dict)
    choice: ChoiceReport | None = None

    def table(self) -> str:
        """As it is printed: baselines, the run's own fusion, other rules, leave one out."""
        base = [[name, f"{100 * score:.1f}"] for name, score in self.base.items()]
        parts = [self.about, format_table(["without selecting", "J&F"], base)]
        way = self.own[0]
        main = [row for row in self.rows if row.rule == way]
        other = [r for r in self.rows if r.rule != way and " without " not in r.rule]
        other = [r for r in other if r.granularity == "video"]
        rest = [r for r in self.rows if " without " in r.rule and r.granularity == "video"]
        for title, rows in (("", main), ("other rules", other), ("leave one out", rest)):
            if rows:
                parts.append((f"{title}\n" if title else "") + format_table(HEADS, _cells(rows)))
        if self.choice:
            parts.append(self.choice.table())
        return "\n\n".join(parts)

    def csv(self) -> str:
        """One line per row."""
        out = io.StringIO()
        stored = [row.json() for row in self.rows]
        writer = csv.DictWriter(out, list(stored[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(stored)
        return out.getvalue()

    def json(self) -> Json:
        """Everything but the plots."""
        return {
            "about": self.about,
            "best_single": self.best,
            "own": dict(zip(("rule", "policy", "granularity"), self.own, strict=True)),
            "without_selecting": self.base,
            "rows": [row.json() for row in self.rows],
            **({"choice": self.choice.json()} if self.choice else {}),
        }

    def save(self, folder: str | Path) -> None:
        """Table, CSV, JSON and plots."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "study.txt", self.table() + "\n")
        write_text(folder / "study.csv", self.csv())
        write_json(folder / "study.json", self.json())
        bars: list[tuple[str, float, tuple[float, float] | None]]
        bars = [(name, score, None) for name, score in self.base.items()]
        for row in self.rows:
            if row.rule == self.own[0] or row.policy == "pseudo-label":
                name = f"{row.rule}, {row.policy}, {row.granularity}"
                best = self.base[BEST]
                ends = (best + row.gain_low, best + row.gain_high)
                if " without " not in name:
                    bars.append((name, row.score, ends))
        write_text(folder / "bars.svg", plots.bars(bars, self.base[BEST]))
        points = {
            name: (said.probability, said.best.astype(float))
            for name, said in self.reliability.items()
        }
        write_text(folder / "calibration.svg", plots.reliability(points))


BEST, ORACLE = "best single in hindsight", "oracle per video"
FIRST = "member of the best prior"
HEADS = [
    "rule", "policy", "granularity", "J&F", "gain", "95 %", "above prior", "95 %", "recovered",
    "false", "ECE", "chance", "objects", "chance", "held",
]  # fmt: skip


def _cells(rows: Sequence[StudyRow]) -> list[list[str]]:
    def percent(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{100 * value:.{digits}f}"

    return [
        [
            row.rule, row.policy, row.granularity, percent(row.score, 1),
            f"{100 * row.gain:+.1f}",
            f"{100 * row.gain_low:+.1f} to {100 * row.gain_high:+.1f}",
            f"{100 * row.above_prior:+.1f}",
            f"{100 * row.above_prior_low:+.1f} to {100 * row.above_prior_high:+.1f}",
            percent(row.recovered), percent(row.false_presence, 1),
            *("" if value is None else f"{value:.2f}"
              for value in (row.videos.ece, row.videos.chance, row.objects.ece,
                            row.objects.chance)),
            percent(row.videos.held),
        ]
        for row in rows
    ]  # fmt: skip


def compare(
    results: Sequence[Result],
    bases: Mapping[str, Baselines],
    main_way: str,
    own: SelectionOptions,
    fitted: str | None,
) -> StudyReport:
    """Hold every result against the best single member and the oracle of its own ensemble."""
    rows = [row_of(result, bases[result.way]) for result in results]
    base = bases[main_way]
    shown = {name: mean_score(scores) for name, scores in base.members.items()}
    shown[FIRST] = shown[base.first]
    shown[BEST] = shown[base.best]
    shown["oracle per video, members only"] = mean_score(base.oracle_member)
    shown[ORACLE] = mean_score(base.oracle_video)
    shown["oracle per object"] = mean_score(base.oracle_object)
    videos = len(base.oracle_video)
    objects = sum(len(scores) for scores in base.oracle_video)
    source = f"calibration {fitted}" if fitted else "cross-validation over the videos"
    about = (
        f"{counted(videos, 'video')}, {counted(objects, 'object')}; best single: {base.best};"
        f" choice and probabilities by {source}"
    )
    reliability = {}
    for result in results:
        if result.way == main_way and result.policy == own.policy:
            if result.granularity != own.granularity:
                continue
            for level, said in (("videos", result.videos), ("objects", result.objects)):
                if said is not None:
                    reliability[level] = said
    return StudyReport(
        rows, shown, base.best, (main_way, own.policy, own.granularity), about, reliability
    )  # fmt: skip


def row_of(result: Result, base: Baselines) -> StudyRow:
    """One line of the table, rounded to as many digits as are stored."""
    best = base.members[base.best]
    gain, low, high = paired_interval(result.truths, best)
    above_prior = paired_interval(result.truths, base.members[base.first])
    room = mean_score(base.oracle_video) - mean_score(best)
    means = [np.nanmean(t) - np.nanmean(b) for t, b in zip(result.truths, best, strict=True)
             if not np.isnan(t).all()]  # fmt: skip
    false, looked = result.presence
    return StudyRow(
        rule=result.way,
        policy=result.policy,
        granularity=result.granularity,
        score=rounded(mean_score(result.truths)),
        best_single=rounded(mean_score(best)),
        gain=rounded(gain),
        gain_low=rounded(low),
        gain_high=rounded(high),
        above_prior=rounded(above_prior[0]),
        above_prior_low=rounded(above_prior[1]),
        above_prior_high=rounded(above_prior[2]),
        recovered=rounded(gain / room) if room >= LITTLE_ROOM else None,
        regret=rounded(mean_score(base.oracle_video) - mean_score(result.truths)),
        videos_above=int(sum(m > BEST_WITHIN for m in means)),
        videos_below=int(sum(m < -BEST_WITHIN for m in means)),
        false_presence=rounded(false / looked) if looked else None,
        absent_object_frames=looked,
        fallbacks=result.fallbacks,
        videos=StatedWorth.of(result.videos),
        objects=StatedWorth.of(result.objects),
    )


def rounded(value: float) -> float:
    """To as many digits as a study stores."""
    return round(value, 6)
