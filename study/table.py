"""The table of a study, as it is printed and written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selection.policies import SelectionOptions
from selection.statistics import mean_score, paired_interval
from selection.sureness import BEST_WITHIN
from stseg.files import write_json, write_text
from stseg.tables import format_table
from study import plots
from study.results import Baselines, Result, Stated

LITTLE_ROOM = 0.005
"""J&F: where the oracle is no further above the best single member, no share is told."""


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
        write_text(folder / "study.txt", self.table() + "\n")
        write_text(folder / "study.csv", self.csv())
        write_json(folder / "study.json", self.json())
        bars: list[tuple[str, float, tuple[float, float] | None]]
        bars = [(name, score, None) for name, score in self.base.items()]
        for row in self.rows:
            if row["rule"] == self.own[0] or row["policy"] == "pseudo-label":
                name = f"{row['rule']}, {row['policy']}, {row['granularity']}"
                best = self.base[BEST]
                ends = (best + row["gain_low"], best + row["gain_high"])
                if " without " not in name:
                    bars.append((name, row["J&F"], ends))
        write_text(folder / "bars.svg", plots.bars(bars, self.base[BEST]))
        points = {
            name: (said.probability, said.best.astype(float))
            for name, said in self.reliability.items()
        }
        write_text(folder / "calibration.svg", plots.reliability(points))


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
