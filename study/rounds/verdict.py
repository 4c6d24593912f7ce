"""Whether a round is adopted: what the held-out videos, on which nothing was trained, say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from ensemble.fusion.frame_loop import read_frames
from selection.statistics import paired_interval
from stseg.files import Json
from study.rounds.options import family
from study.rounds.source import FinishedRun


@dataclass(frozen=True)
class Difference:
    """How much a round changed something on the held-out videos, in percent points.

    of          says of what
    gain        is the difference of the means
    low, high   are the ends of its 95 % interval, by a paired bootstrap over videos
    """

    of: str
    gain: float
    low: float
    high: float

    @property
    def fell(self) -> bool:
        """Whether it fell beyond chance."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.of} {self.gain:+.2f} ({self.low:+.2f} to {self.high:+.2f})"

    @classmethod
    def between(
        cls, of: str, before: Sequence[np.ndarray], after: Sequence[np.ndarray]
    ) -> Difference:
        """Of scores in [0, 1], ``(N,)`` of the objects of each video."""
        gain, low, high = (100 * value for value in paired_interval(after, before))
        return cls(of, gain, low, high)


@dataclass(frozen=True)
class Verdict:
    """What came of a round.

    videos        are held out
    differences   are what was measured on them
    left_out      are videos without a sure mask, from which nothing was learnt
    """

    videos: tuple[str, ...]
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...] = field(default=())

    @property
    def adopted(self) -> bool:
        """Whether something was measured, and nothing fell beyond chance."""
        known = [one for one in self.differences if not np.isnan(one.gain)]
        return bool(known) and not any(one.fell for one in known)

    def sentence(self) -> str:
        """For people."""
        told = "; ".join(map(str, self.differences))
        verdict = "adopted" if self.adopted else "not adopted"
        return f"{verdict}: on {len(self.videos)} held-out videos, {told}"

    def json(self) -> Json:
        """As it is stored."""
        return {**asdict(self), "adopted": self.adopted}

    @classmethod
    def parse(cls, stored: Json) -> Verdict:
        """From what `json` gave."""
        differences = tuple(Difference(**one) for one in stored["differences"])
        return cls(tuple(stored["videos"]), differences, tuple(stored["left_out"]))


def judge_round(
    before: FinishedRun, after: FinishedRun, adapted: Sequence[str], videos: Sequence[str]
) -> tuple[Difference, ...]:
    """What a round changed on ``videos``: the quality of every adapted member against that of the
    newest one that it comes from, and with labels the J&F of the chosen masks.

    adapted   names of the round's own members
    """
    differences = []
    for name in adapted:
        older = [m.name for m in before.config.members if family(m.name) == family(name)][-1]
        pairs = [witnessed_quality(after, video, (older, name)) for video in videos]
        old, new = ([pair[side] for pair in pairs] for side in (0, 1))
        differences.append(Difference.between(f"quality of {name}", old, new))
    scores = [[chosen_truth(run, video) for video in videos] for run in (before, after)]
    if all(any(len(one) for one in side) for side in scores):
        differences.append(Difference.between("J&F of the chosen masks", *scores))
    return tuple(differences)


def witnessed_quality(
    run: FinishedRun, video: str, judged: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` expected J of the two members' masks of each object, mean over frames, in (0, 1).

    Both are judged by the same members: those of other families, whose errors are not theirs. A
    member and its copy of a later round would confirm each other.
    """
    names = run.names_in(video)
    witnesses = tuple(name for name in names if family(name) != family(judged[0]))
    if not witnesses or not set(judged) <= set(names):
        return np.zeros(0), np.zeros(0)
    columns = run.records[video].objects
    rows: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    with run.opened(video, (*witnesses, *judged)) as members:
        for frame in read_frames(members):
            for name, seen in zip(judged, rows, strict=True):
                jury = (*witnesses, name)
                frame.gather(jury).judge()
                row = np.full(len(columns), np.nan)
                at = [columns.index(object_id) for object_id in frame.scored]
                row[at] = frame.tracks[jury].quality(frame.scored)[-1]
                seen.append(row)
    means = [_known_mean(np.stack(seen)) for seen in rows]
    return means[0], means[1]


def _known_mean(rows: np.ndarray) -> np.ndarray:
    """``(T, N)`` -> ``(N,)``: NaN where an object was on no frame."""
    known = ~np.isnan(rows)
    total, count = np.where(known, rows, 0).sum(axis=0), known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def chosen_truth(run: FinishedRun, video: str) -> np.ndarray:
    """``(N,)`` J&F of the chosen masks of a video by the labels; empty without."""
    truth = run.records[video].truth if video in run.records else None
    by_object = truth.by_object if truth else {}
    return np.array([score for score in by_object.values() if score is not None], np.float64)
