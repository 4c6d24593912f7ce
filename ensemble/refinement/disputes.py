"""Where the members of a video dispute an object: pure functions over a `Survey`.

On every frame the members are divided by where they have an object; each part is a claim, and
so is that it is nowhere. A dispute is a run of frames on which a second claim with some say
differs from the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ensemble.refinement.survey import Survey
from selection.quality import load_quality
from selection.refined import Claim, Dispute
from selection.selectors import ranges

ALIKE = 0.6
"""IoU from which two members have an object in the same place."""
APART = 0.3
"""IoU below which they have it in different places."""
HEARD = 0.06
"""Share of the say, by the priors alone, from which a claim counts: who is alone in what it
sees soon loses its say in the video, and may be right."""
MAJORITY = 0.6
"""Share of the say with which the members are sure."""
LASTING = 2
"""Frames in a row that make a dispute."""


def find_disputes(survey: Survey, clusters: Mapping[str, int]) -> list[Dispute]:
    """The disputes of a video by what a decision may bring, the most first.

    clusters   member -> number of its group; members of one group share a model and make the
               same mistakes, so they have the say of one
    """
    numbers = [clusters[name] for name in survey.members]
    copies = np.array([numbers.count(number) for number in numbers])
    disputes = [
        dispute
        for column in range(len(survey.object_ids))
        for dispute in disputes_of(survey, column, copies)
    ]
    return sorted(disputes, key=lambda d: (-d.gain, d.frame, d.object_id))


def disputes_of(survey: Survey, column: int, copies: np.ndarray) -> list[Dispute]:
    """The disputes about one object, by time; ``copies`` is ``(M,)``, the size of each group."""
    shares = shares_of(survey, column, copies)
    heard = load_quality().weigh(survey.priors[:, None])[:, 0] / copies
    heard /= heard.sum()
    divided = [divide(survey, i, column, shares[i], heard) for i in range(len(shares))]
    disputed = np.array([differ(survey, i, column, parts) for i, parts in enumerate(divided)])
    agreed = np.array([len(p) > 0 and p[0].seen and p[0].share >= MAJORITY for p in divided])
    agreed |= survey.fixed[:, column]
    disputes = []
    for start, stop in cut(ranges(disputed), agreed):
        before = np.flatnonzero(agreed[:start])
        if stop - start >= LASTING and len(before):
            at = min(start + 1, stop - 1)
            disputes.append(
                Dispute(survey.object_ids[column], start, stop, at, int(before[-1]), divided[at])
            )
    return disputes


def cut(runs: Iterable[tuple[int, int]], agreed: np.ndarray) -> Iterator[tuple[int, int]]:
    """Runs of frames in two, where most of the say was together at first and then is no more:
    what is asked of the first part is not what the second is about."""
    for start, stop in runs:
        unsure = np.flatnonzero(~agreed[start:stop])
        at = start + int(unsure[0]) if len(unsure) else stop
        yield from ((a, b) for a, b in ((start, at), (at, stop)) if a < b)


def shares_of(survey: Survey, column: int, copies: np.ndarray) -> np.ndarray:
    """``(T, M)`` share of each member in the say about an object; 0 where it is not scored."""
    quality = np.nan_to_num(survey.quality[:, :, column])
    known = ~np.isnan(survey.areas[:, :, column])
    say = load_quality().weigh(quality) / copies * known
    return say / np.maximum(say.sum(axis=1, keepdims=True), 1e-12)


def divide(
    survey: Survey, index: int, column: int, share: np.ndarray, heard: np.ndarray
) -> tuple[Claim, ...]:
    """The claims of one frame, the largest share first; none where nothing is scored.

    share   ``(M,)`` of the members in the say on this frame
    heard   ``(M,)`` the same by priors alone
    """
    left = [int(row) for row in np.argsort(-share, kind="stable") if share[row] > 0]
    parts = []
    while left:
        near = survey.overlaps[index, column, left[0]] >= ALIKE
        part = [row for row in left if near[row] or row == left[0]]
        left = [row for row in left if row not in part]
        seen = bool(survey.areas[index, part[0], column] > 0)
        said = round(float(share[part].sum()), 6)
        if heard[part].sum() >= HEARD:
            parts.append(Claim(tuple(survey.members[row] for row in part), seen, said))
    return tuple(sorted(parts, key=lambda part: -part.share))


def differ(survey: Survey, index: int, column: int, parts: tuple[Claim, ...]) -> bool:
    """Whether another claim of a frame is far from the first."""
    rows = [survey.members.index(part.members[0]) for part in parts]
    return any(survey.overlaps[index, column, rows[0], row] < APART for row in rows[1:])


def to_correct(dispute: Dispute, survey: Survey, correctable: tuple[str, ...]) -> tuple[str, ...]:
    """The members to correct by the claim that is taken: as few as make it the majority,
    those with the largest share first; none where it has the largest share already."""
    best = dispute.taken
    if not dispute.overruled:
        return ()
    at, column = dispute.frame, survey.object_ids.index(dispute.object_id)
    share = shares_of(survey, column, np.ones(len(survey.members)))[at]
    lead = survey.members.index(best.members[0])
    wrong = [
        row
        for row in np.argsort(-share, kind="stable")
        if survey.members[row] in correctable
        and survey.members[row] not in best.members
        and survey.overlaps[at, column, row, lead] < ALIKE
    ]
    chosen: list[str] = []
    reached = best.share
    for row in wrong:
        if reached >= MAJORITY:
            break
        chosen.append(survey.members[row])
        reached += float(share[row])
    return tuple(chosen)
