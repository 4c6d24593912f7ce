"""Presence: whether an object is in a frame, from which members see something of it.

A member that sees nothing is evidence of absence, and one that sees something of presence. How
much depends on how often it is wrong: one that loses objects says little when it calls one absent,
and one that never lets go says nothing when it sees one. Both rates are estimated for every member
of a video by expectation maximisation over sampled frames, without labels (Dawid and Skene, 1979),
and the logarithms of the likelihood ratios are summed over clusters of members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDS = 10
"""Of expectation maximisation: the rates move by less than 0.01 after these."""


@dataclass(frozen=True)
class PresenceRates:
    """How often the M members of a video see nothing of an object.

    there    ``(M,)`` in (0, 1), though it is there
    gone     ``(M,)`` in (0, 1), when it is not
    start    is the log odds that an object is absent before anything is seen
    """

    there: np.ndarray
    gone: np.ndarray
    start: float

    def evidence(self, seen: np.ndarray) -> np.ndarray:
        """``(M, N)`` log likelihood ratios of absence, of ``(M, N) bool``: who sees something."""
        there, gone = self.there[:, None], self.gone[:, None]
        return np.where(seen, np.log1p(-gone) - np.log1p(-there), np.log(gone) - np.log(there))

    def log_odds(self, seen: np.ndarray, copies: np.ndarray) -> np.ndarray:
        """``(N,)`` of absence; the ``(M,)`` copies of a member, itself included, have one voice."""
        return self.start + (self.evidence(seen) / copies[:, None]).sum(axis=0)

    def absent(self, seen: np.ndarray, copies: np.ndarray) -> np.ndarray:
        """``(N,) bool``: absence is more probable than presence."""
        return self.log_odds(seen, copies) > 1e-9


@dataclass(frozen=True)
class PresenceModel:
    """What is assumed before anything is seen, see ``configs/quality/default.json``.

    absent   is the share of frames without the object, in (0, 1)
    lost     is the share of a member's errors that are losses: one of the prior p sees nothing of
             an object that is there on ``lost`` x (1 - p) of the frames, of one that is not on p
    weight   is the number of frames that these two rates count as
    """

    absent: float
    lost: float
    weight: float

    def rates(self, seen: np.ndarray, copies: np.ndarray, priors: np.ndarray) -> PresenceRates:
        """The rates of the members of a video.

        seen     ``(K, M) bool``: who sees something, on K frames of objects
        copies   ``(M,)`` how many members say the same as each, itself included
        priors   ``(M,)`` expected J&F in (0, 1)
        """
        start = float(np.log(self.absent) - np.log1p(-self.absent))
        there, gone = self.lost * (1 - priors), np.asarray(priors, dtype=np.float64)
        rates = PresenceRates(there, gone, start)
        for _ in range(ROUNDS if len(seen) else 0):
            share = 1 / (1 + np.exp(-rates.log_odds(seen.T, copies).clip(-30, 30)))
            rates = PresenceRates(
                self._rate(there, ~seen, 1 - share), self._rate(gone, ~seen, share), start
            )
        return rates

    def _rate(self, before: np.ndarray, nothing: np.ndarray, share: np.ndarray) -> np.ndarray:
        """``(M,)`` how often ``(K, M)`` nothing is seen on the frames that count by ``share``."""
        return (self.weight * before + share @ nothing) / (self.weight + share.sum())
