"""What an evaluation found: scores per object, video and overall, as table, JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from selection.metrics import REGISTRY, ObjectScores, ScoredObject
from stseg.files import Json, write_text
from stseg.tables import format_table

OVERALL = "all videos"


@dataclass(frozen=True)
class Evaluation:
    """The scores of a folder of masks.

    protocol   one of `selection.metrics.PROTOCOLS`
    videos     video -> object id -> scores in [0, 1], or None where the protocol does not
               count the object
    notes      what the protocol's server would do with these masks, one sentence each
    unseen     video and id of every object of a kind that the training set has none of
    """

    protocol: str
    videos: Mapping[str, Mapping[int, ObjectScores | None]]
    notes: Sequence[str] = ()
    unseen: frozenset[tuple[str, int]] = frozenset()

    @cached_property
    def mean(self) -> ObjectScores:
        """Mean over all objects of all videos; `None` for scores that no object has."""
        return self._mean(list(self.videos))

    def video_mean(self, video: str) -> ObjectScores:
        """Mean over the objects of one video."""
        return self._mean([video])

    def _mean(self, videos: Sequence[str]) -> ObjectScores:
        protocol = REGISTRY[self.protocol]
        means = protocol.combine(
            [
                ScoredObject(scores, (video, object_id) in self.unseen, video)
                for video in videos
                for object_id, scores in self.videos[video].items()
                if scores is not None
            ]
        )
        columns = protocol.columns
        return {
            name: means.get(name) for name in (*columns, *(k for k in means if k not in columns))
        }

    def json(self) -> Json:
        """``{"protocol", "videos": {video: {object id: {"J", "F", ...}}}, "mean": {...}}``."""
        return {
            "protocol": self.protocol,
            "videos": {
                video: {str(object_id): scores for object_id, scores in objects.items()}
                for video, objects in self.videos.items()
            },
            "mean": self.mean,
        }

    def table(self) -> str:
        """Objects, the mean of every video with several, and the overall mean; in percent."""
        columns = REGISTRY[self.protocol].columns
        heads = ("video", "object", *columns)
        rows = []
        for video, objects in self.videos.items():
            for object_id, scores in objects.items():
                rows.append((video, str(object_id), *_percent(scores or {}, columns)))
            if len(objects) > 1:
                rows.append((video, "mean", *_percent(self.video_mean(video), columns)))
        rows.append((OVERALL, "mean", *_percent(self.mean, columns)))
        return format_table(heads, rows, total=True)

    def csv(self) -> str:
        """The layout of vos-benchmark: percent, the global score first, a line per object.

        Scores that vos-benchmark does not have follow in further columns.
        """
        first = ("J&F", "J", "F")
        columns = (*first, *(name for name in REGISTRY[self.protocol].columns if name not in first))
        name_width = max(map(len, (*self.videos, "Global score")))

        def line(name: str, object_id: str, values: Sequence[str]) -> str:
            return ", ".join([f"{name:<{name_width}},{object_id:>3}", *values])

        def values(scores: ObjectScores, width: int) -> list[str]:
            return [value.rjust(width) for value in _percent(scores, columns, "")]

        lines = [
            line("sequence", "obj", [name.rjust(4) for name in columns]),
            line("Global score", "", values(self.mean, 0)),
        ]
        for video, objects in self.videos.items():
            for object_id, scores in objects.items():
                if scores is not None:
                    lines.append(line(video, f"{object_id:03}", values(scores, 4)))
        return "\n".join(lines) + "\n"

    def save(self, json: str | Path | None = None, csv: str | Path | None = None) -> None:
        """Write the named files, each completely or not at all."""
        if json is not None:
            write_text(Path(json), _dump(self.json()))
        if csv is not None:
            write_text(Path(csv), self.csv())


def _percent(
    scores: Mapping[str, float | None], columns: Sequence[str], none: str = "-"
) -> list[str]:
    values = (scores.get(name) for name in columns)
    return [none if value is None else f"{100 * value:.1f}" for value in values]


def _dump(data: Json) -> str:
    return json.dumps(data, indent=1, allow_nan=False) + "\n"
