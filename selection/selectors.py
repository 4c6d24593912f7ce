"""Selection: from the candidates' scores on one video to the masks that are written.

Pure functions over an `Evidence`, the table of every candidate's scores. A policy scores the
candidates, per object and frame; the granularity says how finely they may be mixed: one
candidate for the video, one per object, or per object one after the other in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from selection.calibration import Calibration
from selection.evidence import PSEUDO_LABEL, Evidence, mean_over_frames, mean_over_objects
from selection.policies import GRANULARITIES, POLICIES, SelectionOptions, score
from selection.reasons import Ground, Reason
from selection.spans import (
    ObjectSpans,
    Ranges,
    Spans,
    candidate_at,
    candidates_of,
    most_used,
    spans_between,
    whole,
)

__all__ = ["GRANULARITIES", "POLICIES", "Choice", "SelectionOptions", "select"]


@dataclass(frozen=True)
class Choice:
    """What was selected for one video.

    winner   the candidate that gives most objects and frames
    scores   score of each candidate, in [0, 1]
    margin   how far the winner's score is above the next one (0 with a single candidate)
    reason   why
    plan     object id -> `Spans`
    absent   object id -> ranges of frames, half open, on which the members agree that it is not
             there: nothing of it is written, whatever the candidate has
    table    object id -> score of each candidate, NaN if the object is not scored on any frame
    """

    winner: str
    scores: dict[str, float]
    margin: float
    reason: Reason
    plan: ObjectSpans
    absent: Mapping[int, Ranges] = field(default_factory=dict)
    table: Mapping[int, Mapping[str, float]] = field(default_factory=dict, compare=False)

    def at(self, index: int) -> dict[int, str]:
        """Object id -> candidate, on one frame."""
        return {n: candidate_at(spans, index) for n, spans in self.plan.items()}

    def missing(self, index: int) -> list[int]:
        """Ids of the objects that count as absent from one frame."""
        return [
            n
            for n, ranges in self.absent.items()
            if any(start <= index < stop for start, stop in ranges)
        ]


def select(
    evidence: Evidence,
    options: SelectionOptions | None = None,
    calibration: Calibration | None = None,
) -> Choice:
    """The selection for one video under ``options``, with the help of a calibration if there is
    one."""
    options = options or SelectionOptions()
    scored = score(evidence, options, calibration)
    candidates, scores = scored.candidates, scored.scores
    priors = np.asarray([evidence.priors[evidence.candidates.index(c)] for c in candidates])
    by_object = mean_over_frames(scores)
    # A video without a frame to score (one frame, all given) leaves only the priors.
    means = mean_over_objects(by_object)
    means = np.where(np.isnan(means), priors, means)
    best = prefer(means, priors, options.tie)
    frames = len(evidence.frames)
    if options.mixes_by == "video":
        plan: dict[int, Spans] = dict.fromkeys(evidence.object_ids, whole(candidates[best], frames))
    elif options.mixes_by == "object":
        plan = {
            n: whole(candidates[_best_or(by_object[:, k], priors, options.tie, best)], frames)
            for k, n in enumerate(evidence.object_ids)
        }
    else:
        plan = {
            n: spans_between(
                [
                    (start, candidates[c])
                    for start, c in switch_path(scores[:, :, k], options.switch_cost, best)
                ],
                frames,
            )
            for k, n in enumerate(evidence.object_ids)
        }
    winner = most_used(chain.from_iterable(plan.values()), candidates[best])
    others = np.delete(means, candidates.index(winner))
    margin = float(means[candidates.index(winner)] - others.max()) if len(others) else 0.0
    told = dict(zip(candidates, map(float, means), strict=True))
    reason = replace(
        explain(evidence, options, candidates, winner, plan, margin), fallbacks=scored.fallbacks
    )
    table = {
        n: dict(zip(candidates, map(float, by_object[:, k]), strict=True))
        for k, n in enumerate(evidence.object_ids)
    }
    absent = {n: ranges(evidence.absent[:, k] == 1) for k, n in enumerate(evidence.object_ids)}
    absent = {n: parts for n, parts in absent.items() if parts}
    return Choice(winner, told, max(margin, 0.0), reason, plan, absent, table)


def prefer(scores: np.ndarray, priors: np.ndarray, tie: float) -> int:
    """The index of the best score. Among scores within ``tie`` of it, the best prior wins, then the
    better score, then the first."""
    near = scores >= scores.max() - tie
    return min(range(len(scores)), key=lambda i: (not near[i], -priors[i], -scores[i]))


def ranges(frames: np.ndarray) -> Ranges:
    """Where ``(T,) bool`` is True."""
    steps = np.diff(np.concatenate([[False], frames, [False]]).astype(np.int8))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return tuple(zip(map(int, starts), map(int, stops), strict=True))


def switch_path(scores: np.ndarray, cost: float, default: int) -> list[tuple[int, int]]:
    """The best sequence of candidates for one object, as (first frame, candidate).

    scores    ``(T, C)``; frames with NaN do not count
    cost      of each change
    default   the candidate where nothing is scored

    Dynamic programming (Viterbi): maximises the sum of scores minus ``cost`` per change.
    """
    if np.isnan(scores).all():
        return [(0, default)]
    gains = np.nan_to_num(scores, nan=0.0)
    frames, count = gains.shape
    total = gains[0].copy()
    came_from = np.zeros((frames, count), dtype=np.intp)
    for t in range(1, frames):
        best = int(total.argmax())
        switched = total[best] - cost
        stays = total >= switched
        came_from[t] = np.where(stays, np.arange(count), best)
        total = np.where(stays, total, switched) + gains[t]
    path = [int(total.argmax())]
    for t in range(frames - 1, 0, -1):
        path.append(int(came_from[t, path[-1]]))
    path.reverse()
    return [(t, c) for t, c in enumerate(path) if t == 0 or c != path[t - 1]]


def compose(choice: Choice, index: int, labels: Mapping[str, np.ndarray]) -> np.ndarray:
    """The selected ids of one frame, ``(H, W) uint8``.

    labels   candidate -> its ids on the frame, for every candidate of the plan; if there are
             several, those of the pseudo-label too. If two objects of different candidates claim a
             pixel, the pseudo-label decides, provided that it gives the pixel to one of them
    """
    merged = _merged(choice, index, labels)
    missing = choice.missing(index)
    return np.where(np.isin(merged, missing), np.uint8(0), merged) if missing else merged


def _merged(choice: Choice, index: int, labels: Mapping[str, np.ndarray]) -> np.ndarray:
    chosen = choice.at(index)
    if len(set(chosen.values())) == 1:
        return labels[next(iter(chosen.values()))]
    pseudo = labels[PSEUDO_LABEL]
    out = np.zeros_like(pseudo)
    claims = np.zeros(pseudo.shape, dtype=np.uint8)
    settled = np.zeros(pseudo.shape, dtype=bool)
    for object_id in sorted(chosen, key=lambda n: choice.scores.get(chosen[n], 0.0)):
        mask = labels[chosen[object_id]] == object_id
        out[mask] = object_id
        claims += mask
        settled |= mask & (pseudo == object_id)
    return np.where((claims > 1) & settled, pseudo, out)


def explain(
    evidence: Evidence,
    options: SelectionOptions,
    candidates: tuple[str, ...],
    winner: str,
    plan: ObjectSpans,
    margin: float,
) -> Reason:
    """Why the winner was selected."""
    if len(candidates) == 1:
        return Reason(Ground.ONLY_CANDIDATE)
    used = {n: candidates_of(spans) for n, spans in plan.items()}
    objects = {name: tuple(n for n, names in used.items() if name in names) for name in candidates}
    objects = {name: ids for name, ids in objects.items() if ids}
    if len(objects) > 1:
        return Reason(Ground.SEVERAL_CANDIDATES, objects=objects)
    if options.policy not in ("agreement", "pseudo-label"):
        return Reason(Ground.SCORE, options.policy)
    means = mean_over_objects(evidence.agreement())[: len(candidates)]
    if np.isnan(means).all():
        return Reason(Ground.PRIOR)
    row = candidates.index(winner)
    if margin <= 0:
        ground = Ground.TIE
    elif means[row] == np.nanmax(means):
        ground = Ground.AGREEMENT
    else:
        ground = Ground.AGREEMENT_AND_PRIOR
    return Reason(ground, options.policy, float(means[row]), float(evidence.priors[row]))


def _best_or(scores: np.ndarray, priors: np.ndarray, tie: float, default: int) -> int:
    return default if np.isnan(scores).all() else prefer(scores, priors, tie)
