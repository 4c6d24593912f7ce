"""VOTS: quality, accuracy, robustness, and how a tracker fails.

Source: average_accuracy without burn-in, longterm_ar and average_quality_auxiliary of vot-toolkit
0.9 (vot/analysis/accuracy.py and longterm.py), as its stack vots2024/votstval has them; Kristan et
al., The First Visual Object Tracking Segmentation VOTS2023 Challenge Results, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

from selection.metrics.frames import FrameScore, vots_frame
from selection.metrics.protocols.protocol import (
    ObjectScores,
    Protocol,
    ScoredObject,
    mean_scores,
)

SCORES = ("Q", "A", "R", "NRE", "DRE", "ADQ")

SHORT_ABSENCE = 10
"""An object that is away on no more frames than this has no absence-detection quality."""


def conclude(series: Sequence[FrameScore]) -> ObjectScores:
    """The scores of one object.

    Q     mean overlap; 1 where the object is away and nothing is predicted
    A     mean overlap where the object is there and overlapped
    R     share of the frames that show the object on which it is overlapped
    NRE   share of these on which nothing is predicted: the loss is reported
    DRE   share of these on which something else is predicted: drift
    ADQ   share of the frames without the object on which nothing is predicted
    """
    there = [frame for frame in series if frame.in_truth]
    away = [frame for frame in series if not frame.in_truth]
    met = [frame.J for frame in there if frame.J > 0]
    silent = sum(not frame.in_prediction and not frame.J > 0 for frame in there)
    drifted = len(there) - len(met) - silent
    noticed = sum(not frame.in_prediction for frame in away)
    shares = [count / len(there) if there else None for count in (len(met), silent, drifted)]
    return {
        "Q": fmean(frame.J for frame in series) if series else 0.0,
        "A": fmean(met) if met else 0.0,
        **dict(zip(("R", "NRE", "DRE"), shares, strict=True)),
        "ADQ": noticed / len(away) if len(away) > SHORT_ABSENCE else None,
    }


def combine(objects: Sequence[ScoredObject]) -> ObjectScores:
    """Mean over the objects of a video, then over videos."""
    videos = groupby(sorted(objects, key=_video), key=_video)
    of_videos = [mean_scores(item.scores for item in group) for _, group in videos]
    return mean_scores(of_videos)


def _video(item: ScoredObject) -> str:
    return item.video


PROTOCOL = Protocol(
    name="vots",
    summary="quality, accuracy, robustness; silence, drift, absence noticed (VOTS)",
    server="the VOT toolkit",
    columns=SCORES,
    frame=vots_frame,
    conclude=conclude,
    combine=combine,
    last=0,
)
