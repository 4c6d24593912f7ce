"""Which frame and object to correct by hand: where a correction is worth most to the video.

A correction mends its own frame and, as every member follows it, the frames after it. So it is
worth what is doubtful from there on, less and less the further away. Where the mask is right a
correction changes nothing, and an object that nobody sees is hard to correct: what it is worth is
times the doubt and times the share of the members that see the object.
"""

from __future__ import annotations

import numpy as np

from selection.evidence import Evidence
from selection.refined import Suggestion
from selection.spans import ObjectSpans

LASTS = 0.95
"""Share of what a correction is worth that is left one frame later."""


def suggest(evidence: Evidence, plan: ObjectSpans) -> Suggestion | None:
    """The best correction of the masks that ``plan`` selects; None where nothing is in doubt."""
    doubts = doubt(evidence, plan)
    worth = doubts * worth_of(doubts) * share_that_sees(evidence)
    if not worth.size or worth.max() <= 0:
        return None
    frame, column = (int(n) for n in np.unravel_index(worth.argmax(), worth.shape))
    gain = round(float(worth[frame, column]) / worth.size, 6)
    return Suggestion(frame, evidence.frames[frame], evidence.object_ids[column], gain)


def doubt(evidence: Evidence, plan: ObjectSpans) -> np.ndarray:
    """``(T, N)`` in [0, 1]: how far the selected masks are from what the members say, weighted
    as in the fusion; 0 where nothing is scored."""
    agreed = np.full((len(evidence.frames), len(evidence.object_ids)), np.nan)
    for column, object_id in enumerate(evidence.object_ids):
        for span in plan[object_id]:
            row = evidence.candidates.index(span.candidate)
            frames = slice(span.start, span.stop)
            agreed[frames, column] = evidence["support"][frames, row, column]
    return np.where(np.isnan(agreed), 0.0, 1 - agreed)


def worth_of(doubts: np.ndarray) -> np.ndarray:
    """``(T, N)``: the sum of ``(T, N)`` doubts from each frame on, fading by `LASTS`."""
    worth = doubts.astype(np.float64)
    for index in range(len(worth) - 2, -1, -1):
        worth[index] += LASTS * worth[index + 1]
    return worth


def share_that_sees(evidence: Evidence) -> np.ndarray:
    """``(T, N)`` in [0, 1]: the share of the members' say that sees each object; 0 before the
    frame after its first mask."""
    weight = np.nan_to_num(evidence["weight"][:, :-1])
    seen = weight * (np.nan_to_num(evidence["area"][:, :-1]) > 0)
    share = seen.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    scored = ~np.isnan(evidence["agreement_j"]).all(axis=1)
    return np.where(scored, share, 0.0)
