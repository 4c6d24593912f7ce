"""What a selection is worth, measured by labels. Pure functions over an `Evidence`."""

from __future__ import annotations

import numpy as np

from selection.evidence import Evidence, mean_over_frames
from selection.metrics import FrameScore, ObjectScores, conclude
from selection.selectors import Choice

FAILURES = ("NRE", "DRE", "ADQ")
"""Of VOTS: the share of an object's frames on which nothing is predicted, and on which something
else is; of the frames without it, the share on which nothing is predicted."""

ABSENT_BY = 3
"""Members that call an object absent before its pixels count as false."""


def selected_planes(evidence: Evidence, choice: Choice) -> tuple[np.ndarray, np.ndarray]:
    """``(T, N)`` J&F and area of the selection: each object as its candidates on their frames.

    Exact for one candidate per video. With several, pixels that two objects claim are settled
    when masks are written; here each object counts as its candidate has it.
    """
    both = (evidence["truth_j"] + evidence["truth_f"]) / 2
    score = np.full((both.shape[0], both.shape[2]), np.nan)
    area = np.full(score.shape, np.nan)
    for column, object_id in enumerate(evidence.object_ids):
        for start, stop, name in choice.plan[object_id]:
            row = evidence.candidates.index(name)
            score[start:stop, column] = both[start:stop, row, column]
            area[start:stop, column] = evidence["area"][start:stop, row, column]
        for start, stop in choice.absent.get(object_id, ()):
            # The boundary F of two empty masks is 1 as their J is, and 0 where one is not.
            right = (evidence.true_area[start:stop, column] == 0).astype(np.float64)
            known = ~np.isnan(score[start:stop, column])
            score[start:stop, column] = np.where(known, right, np.nan)
            area[start:stop, column] = np.where(known, 0.0, area[start:stop, column])
    return score, area


def failure_shares(evidence: Evidence, choice: Choice) -> dict[int, ObjectScores]:
    """Object id -> how the selection fails it, see `FAILURES`, on the frames with labels.

    As `selected_planes` for several candidates in one video.
    """
    shares = {}
    for column, object_id in enumerate(evidence.object_ids):
        series = []
        for start, stop, name in choice.plan[object_id]:
            row = evidence.candidates.index(name)
            for index in range(start, stop):
                j = float(evidence["truth_j"][index, row, column])
                there = bool(evidence.true_area[index, column] > 0)
                seen = bool(evidence["area"][index, row, column] > 0)
                if object_id in choice.missing(index):
                    j, seen = float(not there), False
                if not np.isnan(evidence["truth_j"][index, row, column]):
                    series.append(FrameScore(j, j, j, there, seen))
        scores = conclude(series, "vots") or {}
        shares[object_id] = {name: scores.get(name) for name in FAILURES}
    return shares


def selected_truth(evidence: Evidence, choice: Choice) -> np.ndarray:
    """``(N,)`` J&F of the selection; the last frame is left out, as DAVIS and MOSE score."""
    score, _ = selected_planes(evidence, choice)
    return mean_over_frames(score[:-1, None])[0]


def false_presence(evidence: Evidence, choice: Choice) -> tuple[int, int]:
    """(object-frames with false pixels, all object-frames) of those on which the labels have no
    object and at least `ABSENT_BY` members call it absent."""
    _, area = selected_planes(evidence, choice)
    scored = ~np.isnan(evidence["agreement_j"][:, -1])
    absent = (evidence["area"][:, :-1] == 0).sum(axis=1) >= ABSENT_BY
    looked = scored & absent & (evidence.true_area == 0)
    return int((looked & (area > 0)).sum()), int(looked.sum())
