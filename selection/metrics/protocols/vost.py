"""VOST: J over all frames but the first and the last, and J_tr over their last quarter.

Source: evaluation/source/evaluation.py of TRI-ML/VOST, and Tokmakov et al., Breaking the
"Object" in Video Object Segmentation, CVPR 2023. Void pixels of the truth are background there.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from selection.metrics.frames import FrameScore, region_frame
from selection.metrics.protocols.protocol import Counted, ObjectScores, Protocol


def conclude(series: Sequence[FrameScore]) -> ObjectScores | None:
    """Means of J; the last quarter starts at three quarters of the frames, rounded down."""
    if not series:
        return None
    last = series[len(series) * 3 // 4 :]
    return {"J": fmean(frame.J for frame in series), "J_tr": fmean(frame.J for frame in last)}


PROTOCOL = Protocol(
    name="vost",
    summary="J, and J_tr over the last quarter of the frames (VOST)",
    server="the VOST evaluator",
    columns=("J", "J_tr"),
    frame=region_frame,
    conclude=conclude,
    counted=Counted.FIRST_MASK,
)
