"""Quality: the expected J of every member's mask, from what is seen without labels.

Two things are known of a member: its prior, and how far its masks overlap the vote of the
others, which do not know it. Both are log odds, and the quality of a mask is their weighted
mean. A member's say in the fusion is a power of the odds of its quality, so that several weak
members do not outvote a strong one, and the one that the video is started from has some more.

All functions are pure; `QualityTrack` carries the little that is remembered over frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import expit, logit

from stseg.config import CONFIG_FOLDER
from stseg.text import read_json

FOLDER = CONFIG_FOLDER / "quality"

SURE = 0.98
"""Priors and overlaps count as at most this and at least one minus this: nothing is certain."""

FEW = 16
"""Up to so many members, patterns are counted in a table of 2^M; beyond, they are sorted."""


@dataclass(frozen=True)
class QualityModel:
    """The numbers of the estimate, see ``configs/quality/default.json`` for how they were found.

    agreement   is the share that agreement with the others has in the log odds, in [0, 1]; the
                rest is the prior's
    memory      is the number of frames after which agreement is mostly forgotten
    power       is that of the odds, in a member's say
    lead        multiplies the say of the member that the video is started from
    """

    agreement: float
    memory: float
    power: float
    lead: float

    def expected_j(self, priors: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """``(M, N)`` in (0, 1), from ``(M,)`` priors and ``(M, N)`` log odds of agreement.

        Where the evidence is NaN (nobody else is there, or nothing was seen yet) the prior stands.
        """
        prior = log_odds(priors)[:, None]
        known = np.where(np.isnan(evidence), prior, evidence)
        return expit((1 - self.agreement) * prior + self.agreement * known)

    def say(self, quality: np.ndarray) -> np.ndarray:
        """``(M, N)`` say of members by their quality: a power of its odds."""
        q = quality.clip(1 - SURE, SURE)
        return (q / (1 - q)) ** self.power


@lru_cache(maxsize=8)
def load_quality(name: str = "default") -> QualityModel:
    """The model that ships in ``configs/quality``."""
    stored = read_json(FOLDER / f"{name}.json", "quality model")
    return QualityModel(**{key: float(value) for key, value in stored["model"].items()})


def log_odds(values: np.ndarray) -> np.ndarray:
    """Of probabilities, kept away from 0 and 1 by `SURE`."""
    return logit(np.clip(np.asarray(values, dtype=np.float64), 1 - SURE, SURE))


def count_patterns(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which members have a pixel, ``(M, K) bool``, and on how many of ``(M, P) bool``, ``(K,)``.

    A vote depends on the pattern alone, and there are few of them.
    """
    members = len(chosen)
    if members <= FEW:
        codes = np.zeros(chosen.shape[1], np.uint16)
        for m, row in enumerate(chosen):
            codes |= row.astype(np.uint16) << np.uint16(m)
        table = np.bincount(codes)
        present = np.flatnonzero(table)
        patterns = (present[None] >> np.arange(members)[:, None]) & 1
        return patterns.astype(bool), table[present].astype(np.float64)
    packed = np.ascontiguousarray(np.packbits(chosen, axis=0).T)
    rows, counts = np.unique(packed, axis=0, return_counts=True)
    unpacked = np.unpackbits(np.ascontiguousarray(rows.T), axis=0, count=members)
    return unpacked.astype(bool), counts.astype(np.float64)


def agreement_with_others(
    patterns: np.ndarray, counts: np.ndarray, say: np.ndarray, copies: np.ndarray
) -> np.ndarray:
    """``(M,)`` J of each member's mask with the weighted vote of the others; NaN without others.

    patterns, counts   see `count_patterns`, of all pixels of the object
    say                ``(M,)`` of the members, copies sharing one
    copies             ``(M, M) bool``: members that say the same are no witnesses for each
                       other; True on the diagonal
    """
    votes = patterns * say[:, None]
    others = votes.sum(axis=0) - copies.astype(np.float64) @ votes
    weight = say.sum() - copies @ say
    # Exact ties go to the background, whatever the order in which members were added up.
    masks = 2 * others > (1 + 1e-6) * weight[:, None]
    union = (masks | patterns) @ counts
    both = (masks & patterns) @ counts
    overlap = np.where(union > 0, both / np.maximum(union, 1.0), 1.0)
    return np.where(weight > 1e-9 * say.sum(), overlap, np.nan)


class QualityTrack:
    """The quality of the members of one video, frame after frame, for every object."""

    def __init__(self, priors: np.ndarray, model: QualityModel | None = None):
        self.model = model or load_quality()
        self.priors = np.asarray(priors, dtype=np.float64)
        self._evidence: dict[int, np.ndarray] = {}
        self._total, self._count = np.zeros(len(self.priors)), 0

    def quality(self, object_ids: Sequence[int]) -> np.ndarray:
        """``(M, N)`` expected J of the members' masks of each object."""
        nothing = np.full(len(self.priors), np.nan)
        columns = [self._evidence.get(object_id, nothing) for object_id in object_ids]
        evidence = np.stack(columns, axis=1) if columns else np.zeros((len(self.priors), 0))
        return self.model.expected_j(self.priors, evidence)

    def update(self, object_id: int, agreement: np.ndarray) -> None:
        """Take up ``(M,)`` agreement with the others on one more frame."""
        if np.isnan(agreement).any():
            return  # copies of one member, and nobody else
        seen = log_odds(agreement)
        before = self._evidence.get(object_id, seen)
        fresh = 1 - np.exp(-1 / self.model.memory)
        self._evidence[object_id] = before + fresh * (seen - before)
        self._total, self._count = self._total + agreement, self._count + 1

    def leads(self) -> np.ndarray:
        """``(M,) bool``: the member that the video is started from, or several that are equal.

        By prior and by agreement over all frames and objects so far, so that it stays.
        """
        prior = log_odds(self.priors)
        share = self.model.agreement if self._count else 0.0
        mean = log_odds(self._total / max(self._count, 1))
        worth = (1 - share) * prior + share * mean
        return worth >= worth.max() - 1e-9

    def say(self, object_ids: Sequence[int], lead: bool = True) -> np.ndarray:
        """``(M, N)`` say of the members about each object; of equals, if not ``lead``."""
        say = self.model.say(self.quality(object_ids))
        return say * np.where(self.leads(), self.model.lead, 1.0)[:, None] if lead else say
