"""Quality: the expected J of every member's mask, from what is seen without labels.

Three things are known of a member: its prior, how far its masks overlap the vote of the others,
which do not know it, and how far they look like the object, see `selection.appearance`. The
quality of a mask is a weighted sum of their logarithms. A member's say in the fusion is a power of
the odds of its quality, so that several weak members do not outvote a strong one, and the one that
the video is started from has some more. What a member says of an object's presence is weighed
apart, see `selection.presence`.

All functions are pure; `QualityTrack` carries the little that is remembered over frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import expit, logit

from selection.presence import PresenceModel, PresenceRates
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
    appearance  is what is added to them for a mask that looks e times as much like the object as
                another one's
    memory      is the number of frames after which agreement is mostly forgotten
    power       is that of the odds, in a member's say
    lead        multiplies the say of the member that the video is started from
    """

    agreement: float
    appearance: float
    memory: float
    power: float
    lead: float

    def expected_j(
        self, priors: np.ndarray, evidence: np.ndarray, looks: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """``(M, N)`` in (0, 1): what `odds` gives, as a probability."""
        return expit(self.odds(priors, evidence, looks))

    def odds(
        self, priors: np.ndarray, evidence: np.ndarray, looks: np.ndarray | float
    ) -> np.ndarray:
        """``(M, N)`` log odds of the quality, from ``(M,)`` priors, ``(M, N)`` log odds of
        agreement and ``(M,)`` logarithms of likeness.

        Where the evidence is NaN (nobody else is there, or nothing was seen yet) the prior stands.
        """
        prior = log_odds(priors)[:, None]
        known = np.where(np.isnan(evidence), prior, evidence)
        seen = self.appearance * np.broadcast_to(looks, len(prior))[:, None]
        return (1 - self.agreement) * prior + self.agreement * known + seen

    def weigh(self, quality: np.ndarray) -> np.ndarray:
        """``(M, N)`` say of members by their quality: a power of its odds."""
        q = limited(quality)
        return (q / (1 - q)) ** self.power


@lru_cache(maxsize=8)
def load_quality(name: str = "default") -> QualityModel:
    """The model that ships in ``configs/quality``."""
    stored = read_json(FOLDER / f"{name}.json", "quality model")
    return QualityModel(**{key: float(value) for key, value in stored["model"].items()})


@lru_cache(maxsize=8)
def load_presence(name: str = "default") -> PresenceModel:
    """The model of presence that ships in ``configs/quality``."""
    stored = read_json(FOLDER / f"{name}.json", "quality model")
    return PresenceModel(**{key: float(value) for key, value in stored["presence"].items()})


@dataclass(frozen=True)
class Preview:
    """What some frames of a video tell of its members before any frame is fused.

    looks      ``(M,)`` logarithm of each member's likeness as a share of the best one's, at most 0
    clusters   ``(M, M) bool``: members whose errors go together; True on the diagonal. None: not
               known, so that members are compared on every frame
    presence   how often each sees nothing of an object
    """

    looks: np.ndarray
    clusters: np.ndarray | None
    presence: PresenceRates

    @classmethod
    def blank(cls, priors: np.ndarray) -> Preview:
        """Of members with ``(M,)`` priors, and a video of which nothing was seen."""
        alone = np.ones(len(priors))
        nothing = np.zeros((0, len(priors)), dtype=bool)
        return cls(0 * alone, None, load_presence().rates(nothing, alone, limited(priors)))


def limited(values: np.ndarray) -> np.ndarray:
    """Probabilities, kept away from 0 and 1 by `SURE`."""
    return np.clip(np.asarray(values, dtype=np.float64), 1 - SURE, SURE)


def log_odds(values: np.ndarray) -> np.ndarray:
    """Of probabilities, kept away from 0 and 1 by `SURE`."""
    return logit(limited(values))


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

    def __init__(
        self, priors: np.ndarray, preview: Preview | None = None, model: QualityModel | None = None
    ):
        self.model = model or load_quality()
        self.priors = np.asarray(priors, dtype=np.float64)
        self.preview = preview or Preview.blank(self.priors)
        self._evidence: dict[int, np.ndarray] = {}
        self._total, self._count = np.zeros(len(self.priors)), 0

    def quality(self, object_ids: Sequence[int]) -> np.ndarray:
        """``(M, N)`` expected J of the members' masks of each object."""
        nothing = np.full(len(self.priors), np.nan)
        columns = [self._evidence.get(object_id, nothing) for object_id in object_ids]
        evidence = np.stack(columns, axis=1) if columns else np.zeros((len(self.priors), 0))
        return self.model.expected_j(self.priors, evidence, self.preview.looks)

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

        By its quality over all frames and objects so far, so that it stays.
        """
        mean = self._total / self._count if self._count else np.full(len(self.priors), np.nan)
        evidence = np.where(np.isnan(mean), np.nan, log_odds(mean))
        worth = self.model.odds(self.priors, evidence[:, None], self.preview.looks)
        return (worth >= worth.max() - 1e-9)[:, 0]

    def weigh(self, object_ids: Sequence[int], lead: bool = True) -> np.ndarray:
        """``(M, N)`` say of the members about each object; of equals, if not ``lead``."""
        say = self.model.weigh(self.quality(object_ids))
        return say * np.where(self.leads(), self.model.lead, 1.0)[:, None] if lead else say

    def absent(self, seen: np.ndarray, copies: np.ndarray) -> np.ndarray:
        """``(N,) bool``: the objects that count as absent from a frame.

        seen     ``(M, N) bool``: which members see something of each object
        copies   ``(M,)`` how many members say the same as each, itself included

        These are the objects that the evidence of all speaks against, and those of which the
        member that the video is started from sees nothing.
        """
        return self.preview.presence.absent(seen, copies) | ~seen[self.leads()].any(axis=0)
