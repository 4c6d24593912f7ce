"""Whether a round is adopted: what the held-out videos, on which nothing was trained, say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

import adapters
from ensemble.config import family
from ensemble.fusion.frame_loop import read_frames
from ensemble.job import find_weights
from ensemble.refinement.follow_back import NOT_FOLLOWING, backwards, last_seen, meet_given
from selection.metrics import iou
from selection.statistics import paired_interval
from stseg.files import Json
from study.rounds.options import RoundsOptions
from study.rounds.source import FinishedRun


@dataclass(frozen=True)
class Difference:
    """How much a round changed something on the held-out videos, in percent points.

    of          says of what
    gain        is the difference of the means
    low, high   are the ends of its 95 % interval, by a paired bootstrap over videos
    decides     says whether a round that makes it fall is refused
    """

    of: str
    gain: float
    low: float
    high: float
    decides: bool = True

    @property
    def fell(self) -> bool:
        """Whether it fell beyond chance."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.of} {self.gain:+.2f} ({self.low:+.2f} to {self.high:+.2f})"

    @classmethod
    def between(
        cls,
        of: str,
        before: Sequence[np.ndarray],
        after: Sequence[np.ndarray],
        decides: bool = True,
    ) -> Difference:
        """Of scores in [0, 1], ``(N,)`` of the objects of each video."""
        gain, low, high = (100 * value for value in paired_interval(after, before))
        return cls(of, gain, low, high, decides)


@dataclass(frozen=True)
class Verdict:
    """What came of a round.

    videos        are held out
    differences   are what was measured on them
    left_out      are videos with too few sure masks, from which nothing was learnt
    """

    videos: tuple[str, ...]
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...] = ()

    @property
    def adopted(self) -> bool:
        """Whether something was measured, and nothing fell beyond chance."""
        known = [one for one in self.differences if one.decides and not np.isnan(one.gain)]
        return bool(known) and not any(one.fell for one in known)

    def sentence(self) -> str:
        """For people."""
        verdict = "adopted" if self.adopted else "not adopted"
        told = "; ".join(map(str, self.differences))
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
    before: FinishedRun,
    after: FinishedRun,
    adapted: Sequence[str],
    videos: Sequence[str],
    options: RoundsOptions,
) -> tuple[Difference, ...]:
    """What a round changed on ``videos``: the quality and the way back of every adapted member
    against the newest one that it comes from, how far it has moved from that one, and with labels
    the J&F of the chosen masks.

    adapted   names of the round's own members
    """
    differences = []
    for name in adapted:
        older = [m.name for m in before.config.members if family(m.name) == family(name)][-1]
        seen = [witness(after, video, (older, name), options.quality) for video in videos]
        old, new, sure, alike = ([getattr(one, key) for one in seen] for key in WITNESSED)
        differences.append(Difference.between(f"quality of {name}", old, new))
        ways = [[ways_back(after, one, video) for video in videos] for one in (older, name)]
        if all(any(len(one) for one in side) for side in ways):
            differences.append(Difference.between(f"way back of {name}", ways[0], ways[1]))
        drift = f"agreement of {name} with {older} where that was sure"
        differences.append(Difference.between(drift, sure, alike, decides=False))
    scores = [[chosen_truth(run, video) for video in videos] for run in (before, after)]
    if all(any(len(one) for one in side) for side in scores):
        differences.append(Difference.between("J&F of the chosen masks", scores[0], scores[1]))
    return tuple(differences)


@dataclass(frozen=True)
class Witnessed:
    """What is seen of an old member and of the new one that comes from it, on one video.

    Each is ``(N,)``, by object, in [0, 1], a mean over frames; NaN where there is none.

    old, new   are the expected J of their masks
    sure       is that of the old one, on the frames on which it is sure
    alike      is the J of their masks with each other, on these frames
    """

    old: np.ndarray
    new: np.ndarray
    sure: np.ndarray
    alike: np.ndarray


WITNESSED = tuple(field.name for field in fields(Witnessed))


def witness(run: FinishedRun, video: str, judged: tuple[str, str], least: float) -> Witnessed:
    """What the others see of two members of one family.

    Both are judged by the same members: those of other families, whose errors are not theirs. A
    member and its copy of a later round would confirm each other.

    least   is the expected J from which on the old one is sure
    """
    names = run.names_in(video)
    witnesses = run.witnesses_in(video, judged[0])
    if not witnesses or not set(judged) <= set(names):
        return Witnessed(*(np.zeros(0) for _ in WITNESSED))
    columns = run.records[video].objects
    rows: dict[str, list[np.ndarray]] = {key: [] for key in WITNESSED}
    with run.opened(video, (*witnesses, *judged)) as members:
        for frame in read_frames(members):
            at = [columns.index(object_id) for object_id in frame.scored]
            old, new = (np.full(len(columns), np.nan) for _ in judged)
            for name, row in zip(judged, (old, new), strict=True):
                jury = (*witnesses, name)
                frame.gather(jury).judge()
                row[at] = frame.tracks[jury].quality(frame.scored)[-1]
            alike = np.full(len(columns), np.nan)
            ours, theirs = frame.regions[-2:]
            alike[at] = [iou(ours, theirs, object_id) for object_id in frame.scored]
            unsure = ~(old >= least)
            values = (old, new, np.where(unsure, np.nan, old), np.where(unsure, np.nan, alike))
            for key, row in zip(WITNESSED, values, strict=True):
                rows[key].append(row)
    return Witnessed(**{key: _known_mean(np.stack(seen)) for key, seen in rows.items()})


def _known_mean(rows: np.ndarray) -> np.ndarray:
    """``(T, N)`` -> ``(N,)``: NaN where nothing is known."""
    known = ~np.isnan(rows)
    total, count = np.where(known, rows, 0).sum(axis=0), known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def ways_back(run: FinishedRun, name: str, video: str) -> np.ndarray:
    """``(N,)`` J&F in [0, 1], at the given masks, of a member that runs backwards from its own
    last masks; 0 for an object that it has lost. Empty for a member of files."""
    member = next(one for one in run.config.members if one.name == name)
    if member.adapter in NOT_FOLLOWING or name not in run.names_in(video):
        return np.zeros(0)
    fetch, device = run.config.execution.fetch_weights, run.config.execution.device
    weights = find_weights(member.weights, fetch)
    segmenter = adapters.load(member.adapter, weights, device, **member.options)
    with run.opened(video, (name,)) as members:
        opened, prediction = members.video, members.predictions[0]
        scores = dict.fromkeys(map(str, opened.object_ids), 0.0)
        last = last_seen(prediction, opened)
        if last:
            back = backwards(opened, prediction, last)
            scores |= meet_given(opened, segmenter.segment(back), last)
    return np.array(list(scores.values()), np.float64)


def chosen_truth(run: FinishedRun, video: str) -> np.ndarray:
    """``(N,)`` J&F of the chosen masks of a video by the labels; empty without."""
    truth = run.records[video].truth if video in run.records else None
    by_object = truth.by_object if truth else {}
    return np.array([score for score in by_object.values() if score is not None], np.float64)
