"""LVOS: an object counts between its own first and last label; V is the spread over time.

Source: lvos/evaluation.py and lvos/utils.py of LingyiHongfd/lvos-evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean

from selection.metrics.frames import FrameScore
from selection.metrics.protocols.protocol import (
    ObjectScores,
    Protocol,
    ScoredObject,
    mean_frames,
    mean_objects,
    with_joint,
)


def conclude(series: Sequence[FrameScore]) -> ObjectScores | None:
    """J, F and V between the first and the last frame of the true masks that have the object.

    V is the standard deviation of (J + F) / 2 over the frames. The evaluator rounds the variance
    to four decimals.
    """
    labels = [i for i, frame in enumerate(series) if frame.in_truth]
    inner = series[labels[0] + 1 : labels[-1]] if labels else ()
    scores = mean_frames(inner)
    if scores is None:
        return None
    joint = [(frame.J + frame.F) / 2 for frame in inner]
    mean = fmean(joint)
    return scores | {"V": sqrt(round(fmean((mean - value) ** 2 for value in joint), 4))}


def combine(objects: Sequence[ScoredObject]) -> ObjectScores:
    """Means over seen and over unseen objects, and the mean of both; of one if there is one."""
    groups = {
        name: mean_objects([item for item in objects if item.unseen is unseen])
        for name, unseen in (("seen", False), ("unseen", True))
    }
    scores: ObjectScores = {}
    for score in ("J", "F", "V"):
        values = {name: group.get(score) for name, group in groups.items()}
        there = [value for value in values.values() if value is not None]
        scores[score] = fmean(there) if there else None
        scores |= {f"{score}_{name}": value for name, value in values.items()}
    return with_joint(scores)


PROTOCOL = Protocol(
    name="lvos",
    summary="J, F and their spread V, between an object's first and last label (LVOS)",
    server="the LVOS evaluator",
    columns=(
        "J&F",
        *(f"{score}{group}" for score in "JFV" for group in ("", "_seen", "_unseen")),
    ),
    conclude=conclude,
    combine=combine,
    first=0,
    last=0,
)
