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
    mean_kinds,
)


def conclude(series: Sequence[FrameScore]) -> ObjectScores | None:
    """J, F and V between the first and the last frame of the true masks that have the object."""
    labels = [i for i, frame in enumerate(series) if frame.in_truth]
    return with_spread(series[labels[0] + 1 : labels[-1]]) if labels else None


def with_spread(series: Sequence[FrameScore]) -> ObjectScores | None:
    """J, F and V of these frames.

    V is the standard deviation of (J + F) / 2 over the frames. The evaluator rounds the variance
    to four decimals.
    """
    scores = mean_frames(series)
    if scores is None:
        return None
    joint = [(frame.J + frame.F) / 2 for frame in series]
    mean = fmean(joint)
    return scores | {"V": sqrt(round(fmean((mean - value) ** 2 for value in joint), 4))}


def combine(objects: Sequence[ScoredObject]) -> ObjectScores:
    """Means over seen and over unseen objects, and the mean of both."""
    return mean_kinds(objects, "JFV")


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
    kinds=True,
    conclude_range=with_spread,
)
