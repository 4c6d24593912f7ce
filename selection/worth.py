"""What the members of a run are worth, without labels: by all its videos together.

Inside one video nothing tells the best member from others that agree with each other. Over a whole
run two things do.

*Agreement.* Where members err independently, the masks of two overlap each other by about the
product of what each of them overlaps the truth. So the logarithm of the mean overlap of any two is
a sum of two numbers, one of each member, and least squares finds them (a single factor, Spearman
1904; for classifiers without labels, Parisi et al., PNAS 2014). Members that are wrong in the same
places look better by it than they are.

*Looks.* How far a member's masks look less like the objects as they were given than those of the
member that looks best, see `selection.appearance`. No majority sways it.

What both say corrects priors that are given: by nothing while the difference is no larger than the
error of the estimate, by nearly all of it where it is far larger (empirical Bayes: what the
difference has beyond that error is taken for the error of the priors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import chi2

from selection.appearance import looks_of
from selection.evidence import Evidence
from selection.quality import limited, log_odds
from stseg.errors import InputError

AGREEMENT, LOOKS = 0.6, 0.2
"""Weights of both in the log odds of what a member is worth. Least squares on the built-in videos
gives 0.60 and 0.14, on seed 5 0.50 and 0.22 (docs/lab/2026-11-30-quality.md)."""

ERROR = 0.15
"""Error of the estimate in log odds that more videos do not take away: 0.12 on the built-in videos,
0.11 on seed 5."""

LEAST = 0.01
"""A member looks at least by this share worse than the best one."""

SAME = 0.98
"""Members whose masks overlap by as much over a run are no witnesses for each other."""

MISFIT = 0.25
"""Where logarithms of overlaps are further from sums of two numbers, nothing is said. They are 0.01
to 0.17 from them on every set measured, and 0.35 from them with useless members."""

FEWEST_VIDEOS, FEWEST_MEMBERS = 5, 3
"""Fewer are not judged. Of two members one overlap is known, and two numbers are asked for."""

RATE = 0.01
"""How often priors that are right are called wrong."""


@dataclass(frozen=True)
class Sight:
    """What is seen of the M members of one video.

    overlaps   ``(M, M)`` in [0, 1], mean IoU of their masks with each other after the first frame
    looks      ``(M,)`` logarithm of each one's likeness as a share of the best one's, at most 0
    """

    overlaps: np.ndarray
    looks: np.ndarray

    @classmethod
    def of(cls, evidence: Evidence) -> Sight | None:
        """From the evidence of a video; None where it has no frame after the first."""
        scored = ~np.isnan(evidence["agreement_j"]).all(axis=(1, 2))
        if not scored.any():
            return None
        likeness = evidence["appearance"][:, :-1].swapaxes(1, 2).reshape(-1, len(evidence.members))
        seen = (evidence["area"][:, :-1] > 0).swapaxes(1, 2).reshape(likeness.shape)
        overlaps = evidence.overlap[scored].mean(axis=0, dtype=np.float64)
        return cls(overlaps, looks_of(likeness, seen))


@dataclass(frozen=True)
class Worth:
    """What a run says of its M members and their priors.

    members      are their names
    given        ``(M,)`` in (0, 1), are the priors that the run had
    seen         ``(M,)`` in (0, 1), are what the run alone says, at the mean log odds of those
    priors       ``(M,)`` in (0, 1), are the given ones, corrected
    share        in [0, 1), is the share of the difference that was made up
    probability  is that of such a difference, or of a larger one, if the given priors are right
    videos       is the number of videos
    """

    members: tuple[str, ...]
    given: np.ndarray
    seen: np.ndarray
    priors: np.ndarray
    share: float
    probability: float
    videos: int

    @property
    def contradicts(self) -> bool:
        """Whether the given priors are clearly wrong, at the rate `RATE`."""
        return self.probability < RATE


def agreed(overlaps: np.ndarray) -> tuple[np.ndarray, float]:
    """``(M,)`` log odds of what members are worth by ``(M, M)`` mean overlaps alone, and the
    distance of the logarithms of these from the fit."""
    one, other = np.nonzero(np.tril(overlaps < SAME, -1))
    pairs = np.zeros((len(one), len(overlaps)))
    rows = np.arange(len(one))
    pairs[rows, one] = pairs[rows, other] = 1.0
    said = np.log(np.maximum(overlaps[one, other], 1 - SAME))
    worth = np.linalg.lstsq(pairs, said, rcond=None)[0]
    free = max(len(one) - len(overlaps), 1)
    misfit = float(np.sqrt(np.square(pairs @ worth - said).sum() / free))
    return log_odds(np.exp(worth)), misfit


def estimate(overlaps: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """``(M,)`` log odds, of mean zero, of what members are worth; of ``(V, M, M)`` overlaps and
    ``(V, M)`` looks, see `Sight`."""
    behind = np.log(np.maximum(-looks.mean(axis=0), LEAST))
    odds: np.ndarray = AGREEMENT * agreed(overlaps.mean(axis=0))[0] - LOOKS * behind
    return odds - odds.mean()


def judge(members: Sequence[str], priors: np.ndarray, videos: Sequence[Sight]) -> Worth:
    """What a run over ``videos`` says of members with these ``(M,)`` priors in (0, 1).

    Raises `InputError` where it says nothing: with too few members or videos, and where members do
    not agree in the way that is described above.
    """
    count, size = len(videos), len(members)
    if count < FEWEST_VIDEOS or size < FEWEST_MEMBERS:
        raise InputError(
            f"{size} members on {count} videos are too few to be judged without labels: it takes"
            f" {FEWEST_MEMBERS} members and {FEWEST_VIDEOS} videos"
        )
    overlaps = np.array([sight.overlaps for sight in videos])
    looks = np.array([sight.looks for sight in videos])
    if agreed(overlaps.mean(axis=0))[1] > MISFIT:
        raise InputError(
            "the members agree too unevenly to be judged without labels: one of them may be"
            " useless, or several are wrong in the same places"
        )
    kept = [np.arange(count) != k for k in range(count)]
    without = [estimate(overlaps[rows], looks[rows]) for rows in kept]
    error = ERROR**2 + (count - 1) * np.var(without, axis=0).mean()  # jackknife
    odds, given = estimate(overlaps, looks), log_odds(priors)
    difference = odds - (given - given.mean())
    square = np.square(difference).sum() / (size - 1)
    share = float(max(0.0, 1 - error / square)) if square else 0.0
    return Worth(
        tuple(members), limited(priors), expit(given.mean() + odds),
        expit(given + share * difference), share,
        float(chi2.sf((size - 1) * square / error, size - 1)), count,
    )  # fmt: skip
