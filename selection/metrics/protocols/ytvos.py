"""YouTube-VOS: J and F over objects of seen and of unseen categories; G is the mean of the four.

Source: https://youtube-vos.org/dataset/vos (Evaluation), and Xu et al., YouTube-VOS, ECCV 2018.
The scorer of its server is not public. Which frames of an object it counts is not said; here these
are the labelled ones after the one on which the object is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from selection.metrics.frames import FrameScore
from selection.metrics.protocols.protocol import (
    ObjectScores,
    Protocol,
    ScoredObject,
    mean_frames,
    mean_kinds,
)


def conclude(series: Sequence[FrameScore]) -> ObjectScores | None:
    """J and F after the first frame of the true masks that has the object."""
    first = next((i for i, frame in enumerate(series) if frame.in_truth), len(series))
    return mean_frames(series[first + 1 :])


def combine(objects: Sequence[ScoredObject]) -> ObjectScores:
    """Means over the objects of seen and of unseen categories, and G, the mean of those four."""
    scores = mean_kinds(objects, "JF")
    return scores | {"G": scores["J&F"]}


PROTOCOL = Protocol(
    name="ytvos",
    summary="J and F of seen and unseen categories, and their mean G (YouTube-VOS)",
    server="the YouTube-VOS server",
    columns=("G", "J_seen", "J_unseen", "F_seen", "F_unseen"),
    conclude=conclude,
    combine=combine,
    first=0,
    last=0,
    kinds=True,
)
