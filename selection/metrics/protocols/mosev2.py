"""MOSEv2: smoothed J, adaptive F, and scores while an object is away or back again.

Source: Ding et al., MOSEv2, and the scorer of its server.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

from selection.metrics.frames import FrameScore, mosev2_frame
from selection.metrics.protocols.protocol import Missing, ObjectScores, Protocol, with_joint


def conclude(series: Sequence[FrameScore]) -> ObjectScores:
    """Plain means, and means over the runs of frames in which the object is away or back.

    A run is away if the true mask is empty on it and back if it is not; the first run of
    a video is neither, for nothing has changed yet. A mean is over the frames of a run,
    then over runs. An object always counts, with zeros in a video that is missing or so
    short that no frame is scored.
    """
    runs = [list(run) for _, run in groupby(series, key=lambda frame: frame.in_truth)][1:]
    scores: ObjectScores = {
        "J": fmean(frame.J for frame in series) if series else 0.0,
        "F_adaptive": fmean(frame.F_adaptive for frame in series) if series else 0.0,
        "F": fmean(frame.F for frame in series) if series else 0.0,
    }
    for name, present in (("disappear", False), ("reappear", True)):
        chosen = [run for run in runs if run[0].in_truth is present]
        j = [fmean(frame.J for frame in run) for run in chosen]
        f = [fmean(frame.F_adaptive for frame in run) for run in chosen]
        scores[f"J_{name}"] = fmean(j) if j else None
        scores[f"F_{name}"] = fmean(f) if f else None
    return with_joint(scores)


PROTOCOL = Protocol(
    name="mosev2",
    summary="smoothed J, adaptive F; scores while an object is away and after its return",
    server="the MOSEv2 server",
    columns=(
        "J&F_adaptive",
        "J",
        "F_adaptive",
        "J&F_disappear",
        "J&F_reappear",
        "F",
        "J&F",
    ),
    frame=mosev2_frame,
    conclude=conclude,
    missing=Missing.ZERO,
    frames_by_prediction=True,
    wrapping_folder=True,
)
