"""Which frame and object to correct by hand: where a correction is worth most to the video.

A correction mends its own frame and, as every member follows it, the frames after it. So it is
worth what is doubtful from there on, less and less the further away. Where the mask is right a
correction changes nothing, and an object that nobody sees is hard to correct: what it is worth is
times the doubt and times the share of the members' say that sees the object.
"""

from __future__ import annotations

import numpy as np

from selection.evidence import Evidence
from selection.quality import load_quality
from selection.refined import Suggestion

LASTS = 0.9
"""Share of what a correction is worth that is left one frame later."""


def suggest(evidence: Evidence) -> Suggestion | None:
    """The best correction of a video; None where nothing is in doubt."""
    doubts = doubt(evidence)
    worth = doubts * worth_of(doubts) * share_that_sees(evidence)
    if not worth.size or worth.max() <= 0:
        return None
    frame, column = (int(n) for n in np.unravel_index(worth.argmax(), worth.shape))
    gain = round(float(worth[frame, column]) / worth.size, 6)
    return Suggestion(frame, evidence.frames[frame], evidence.object_ids[column], gain)


def doubt(evidence: Evidence) -> np.ndarray:
    """``(T, N)`` in [0, 1]: how far the members are from the pseudo-label, by the say that their
    priors give them; 0 where nothing is scored.

    Not by their say in the video: who differs from the others has little of it, and nobody would
    be left to doubt.
    """
    say = load_quality().weigh(evidence.priors[:-1, None])
    apart = (1 - evidence["agreement_j"][:, :-1]) * say
    return np.nan_to_num(apart.sum(axis=1) / say.sum())


def worth_of(doubts: np.ndarray) -> np.ndarray:
    """``(T, N)``: the sum of ``(T, N)`` doubts from each frame on, fading by `LASTS`."""
    worth = doubts.astype(np.float64)
    for index in range(len(worth) - 2, -1, -1):
        worth[index] += LASTS * worth[index + 1]
    return worth


def share_that_sees(evidence: Evidence) -> np.ndarray:
    """``(T, N)`` in [0, 1]: the share of the members' say that sees each object."""
    weight = np.nan_to_num(evidence["weight"][:, :-1])
    seen = weight * (np.nan_to_num(evidence["area"][:, :-1]) > 0)
    return seen.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
