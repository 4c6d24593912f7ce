"""vos-benchmark (hkchengrex/vos-benchmark): as DAVIS, but an object counts once it is seen."""

from __future__ import annotations

from collections.abc import Sequence

from selection.metrics.frames import FrameScore
from selection.metrics.protocols.protocol import Counted, ObjectScores, Protocol, mean_frames


def conclude_from_first_sight(series: Sequence[FrameScore]) -> ObjectScores | None:
    """J and F from the first frame on which truth or prediction has the object.

    None if no true mask has it.
    """
    if not any(frame.in_truth for frame in series):
        return None
    seen = (i for i, frame in enumerate(series) if frame.in_truth or frame.in_prediction)
    return mean_frames(series[next(seen) :])


PROTOCOL = Protocol(
    name="vos-benchmark",
    summary="as davis, but an object counts from the first frame on which it is seen",
    server="vos-benchmark",
    conclude=conclude_from_first_sight,
    counted=Counted.SEEN,
    extra_refused=True,
    all_frames=True,
)
