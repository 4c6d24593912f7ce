"""Selection: from the candidates' scores on one video to the one that is written.

Pure functions over an `Evidence`, the table of every candidate's scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from selection.evidence import Evidence, mean_over_objects

GRANULARITIES = ("video",)


@dataclass(frozen=True)
class SelectionOptions:
    """Options of the selection.

    policy         how to choose, see `POLICIES`
    granularity    one of `GRANULARITIES`
    prior_weight   share of a member's prior in its score, in [0, 1]; the rest is agreement
    tie            candidates whose scores differ by at most this share one place, which goes
                   to the one with the best prior
    """

    policy: str = "agreement"
    granularity: str = "video"
    prior_weight: float = 0.3
    tie: float = 0.002


@dataclass(frozen=True)
class Choice:
    """The selected candidate of one video.

    winner   name of the candidate
    scores   score of each candidate, in [0, 1]
    margin   how far the winner's score is above the next one (0 with a single candidate)
    reason   one sentence
    """

    winner: str
    scores: dict[str, float]
    margin: float
    reason: str

    def json(self) -> dict[str, Any]:
        """As it is stored in ``selection/<video>.json``."""
        return {
            "winner": self.winner,
            "scores": {name: round(score, 6) for name, score in self.scores.items()},
            "margin": round(self.margin, 6),
            "reason": self.reason,
        }


def select(evidence: Evidence, options: SelectionOptions | None = None) -> Choice:
    """The candidate of one video that ``options.policy`` selects."""
    options = options or SelectionOptions()
    return POLICIES[options.policy](evidence, options)


def agreement(evidence: Evidence, options: SelectionOptions) -> Choice:
    """Select a member by agreement with the pseudo-label, weighted by priors.

    The score is ``(1 - a) * mean agreement + a * prior`` with ``a = prior_weight``: the
    pseudo-label is itself uncertain, so what is known of the members keeps a say. The winner
    is the best score; scores within ``tie`` of it are equal, and the best prior among them
    wins, then the earlier one.
    """
    candidates = evidence.members
    # A video without a frame to score (one frame, all given) leaves only the priors.
    mean = np.nan_to_num(mean_over_objects(evidence.agreement())[: len(candidates)], nan=1.0)
    priors = evidence.priors[: len(candidates)]
    share = options.prior_weight
    scores = (1.0 - share) * mean + share * priors
    order = sorted(
        range(len(candidates)),
        key=lambda i: (scores[i] < scores.max() - options.tie, -priors[i], -scores[i]),
    )
    best = order[0]
    others = np.delete(scores, best)
    margin = float(scores[best] - others.max()) if len(others) else 0.0
    if len(candidates) == 1:
        reason = "the only candidate"
    elif margin < 0:
        reason = "within the tie of the best score, and of the best prior"
    elif mean[best] == mean.max():
        reason = f"agrees best with the pseudo-label (J&F {100 * mean[best]:.1f})"
    else:
        reason = (
            f"agrees with the pseudo-label at J&F {100 * mean[best]:.1f} and has the prior"
            f" {100 * priors[best]:.1f}"
        )
    return Choice(
        candidates[best],
        dict(zip(candidates, map(float, scores), strict=True)),
        max(margin, 0.0),
        reason,
    )


POLICIES: dict[str, Callable[[Evidence, SelectionOptions], Choice]] = {"agreement": agreement}
