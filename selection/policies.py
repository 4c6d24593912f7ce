"""Selection policies: how the candidates of one video are scored.

A policy gives a score per frame, candidate and object; the granularity, in `selection.selectors`,
says how finely candidates may then be mixed. Several policies joined by ``+`` are combined by mean
rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from selection.calibration import Calibration, expected_quality
from selection.evidence import PSEUDO_LABEL, Evidence, mean_over_frames
from selection.reasons import Fallback, FallbackCause
from selection.risk import shipped_risk, starting_member
from stseg.config import one_of, option
from stseg.errors import InputError

GRANULARITIES = ("video", "object", "segment")


@dataclass(frozen=True)
class SelectionOptions:
    """Options of the selection."""

    policy: str = option(
        "safe",
        doc="How candidates are scored: safe, agreement, pseudo-label, cycle, or "
        "several like `agreement+cycle`.",
    )
    granularity: str = option(
        "video", doc="How finely candidates may be mixed.", choices=lambda: GRANULARITIES
    )
    risk: float = option(
        0.3,
        doc="`safe`: J&F in percent that replacing the member of the best prior may cost on the "
        "mean of a data set, in one case of ten.",
        least=0,
    )
    prior_weight: float = option(
        0.3,
        doc="Share of a member's prior in its score, in [0, 1]; the rest is agreement.",
        least=0,
        most=1,
    )
    tie: float = option(
        0.002,
        doc="Candidates whose scores differ by at most this share one place, which goes to "
        "the one with the best prior.",
        least=0,
    )
    switch_cost: float = option(
        2.0, doc="`segment`: what a change of candidate must gain, summed over frames.", least=0
    )
    cycle_margin: float = option(
        0.05,
        doc="`cycle`: members are followed back where the margin of `agreement` is below.",
        least=0,
    )
    cycle_budget: float = option(
        0.5,
        doc="`cycle`: extra work at most, as a share of the run's own; the least sure "
        "videos first.",
        least=0,
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """The policies that ``policy`` combines."""
        return tuple(self.policy.split("+"))

    @property
    def mixes_by(self) -> str:
        """The granularity in use: the policy's own, if it has one."""
        return POLICIES[self.parts[0]].granularity or self.granularity

    @property
    def uses_cycle(self) -> bool:
        """Whether members are to be followed back before the selection is final."""
        return "cycle" in self.parts


@dataclass(frozen=True)
class Scores:
    """A policy's scores of one video.

    candidates   names of the C that it scores
    scores       ``(T, C, N)`` in [0, 1], NaN where there is nothing to score
    fallbacks    reasons why the policy scored by agreement instead
    """

    candidates: tuple[str, ...]
    scores: np.ndarray
    fallbacks: tuple[Fallback, ...] = ()


@dataclass(frozen=True)
class Policy:
    """A way to score candidates, see `register`.

    name       is what a configuration calls it
    summary    tells in one line what it scores by
    score      makes the `Scores` of one video
    ranks      tells whether it ranks candidates, so that they may be mixed by object and frame
               and it may be combined with other policies
    applies    tells whether a run's evidence of a video has what it needs
    """

    name: str
    summary: str
    score: Callable[[Evidence, SelectionOptions, Calibration | None], Scores]
    ranks: bool = True
    applies: Callable[[Evidence], bool] = lambda evidence: True
    granularity: str | None = None


POLICIES: dict[str, Policy] = {}
"""Every policy by its name, see `register`."""


def register(policy: Policy) -> Policy:
    """Make a policy known: to configurations, the study, the calibration and their help."""
    if policy.name in POLICIES or "+" in policy.name:
        raise ValueError(f"policy name {policy.name} is taken or has a +")
    POLICIES[policy.name] = policy
    return policy


def agreement(
    evidence: Evidence, options: SelectionOptions, calibration: Calibration | None
) -> Scores:
    """Members by agreement with the pseudo-label, weighted by priors.

    The score is ``(1 - a) * agreement + a * prior`` with ``a = prior_weight``: the pseudo-label is
    itself uncertain, so the priors keep a share.
    """
    members = evidence.members
    jf = (evidence["agreement_j"] + evidence["agreement_f"])[:, : len(members)] / 2
    share = options.prior_weight
    return Scores(members, (1.0 - share) * jf + share * evidence.priors[None, : len(members), None])


def safe(evidence: Evidence, options: SelectionOptions, calibration: Calibration | None) -> Scores:
    """The member of the best prior, and another candidate where that is expected to gain.

    Scored by `selection.calibration.expected_quality`. Without a fitted model the pseudo-label is
    the only other candidate. What must be gained is added to the member's score: by the
    calibration's risk curve if there is one, else by the one that ships.
    """
    fits = calibration if calibration and calibration.quality and calibration.chooses else None
    curve = calibration.risk if calibration and calibration.risk else shipped_risk()
    row, last = starting_member(evidence), len(evidence.members)
    threshold = curve.threshold(options.risk / 100)
    rows = [row] if np.isinf(threshold) else list(range(last + 1)) if fits else [row, last]
    scores = expected_quality(evidence, fits)[:, rows]
    if len(rows) > 1:
        scores[:, rows.index(row)] += threshold
    return Scores(tuple(evidence.candidates[k] for k in rows), scores.clip(0, 1))


def pseudo_label(
    evidence: Evidence, options: SelectionOptions, calibration: Calibration | None
) -> Scores:
    """The fused masks themselves, always."""
    return Scores((PSEUDO_LABEL,), np.ones((len(evidence.frames), 1, len(evidence.object_ids))))


def cycle(evidence: Evidence, options: SelectionOptions, calibration: Calibration | None) -> Scores:
    """Members by the overlap of their last masks, followed back, with the given masks.

    The given masks are the only labels. A member that never moves comes back perfectly, so the
    score is the geometric mean with the agreement, combined with the priors as in `agreement`.
    Members that were not followed back are scored by `agreement`.
    """
    by_agreement = agreement(evidence, options, calibration)
    count = len(evidence.members)
    cycles = evidence.cycle[:count].astype(np.float64)
    known = ~np.isnan(cycles)
    if not known.any():
        return replace(by_agreement, fallbacks=(Fallback(FallbackCause.NOT_FOLLOWED_BACK),))
    jf = (evidence["agreement_j"] + evidence["agreement_f"])[:, :count] / 2
    share = options.prior_weight
    prior = share * evidence.priors[None, :count, None]
    with_cycle = (1.0 - share) * np.sqrt(cycles[None] * jf) + prior
    plain = (1.0 - share) * jf + prior
    return Scores(evidence.members, np.where(known[None], with_cycle, plain))


register(
    Policy("agreement", "agreement with the pseudo-label, and priors: members only", agreement)
)
register(
    Policy(
        "cycle",
        "last masks followed back to the given ones (runs members once more)",
        cycle,
        applies=lambda evidence: not np.isnan(evidence.cycle).all(),
    )
)
register(Policy("pseudo-label", "nothing: the fused masks, always", pseudo_label, ranks=False))
register(
    Policy(
        "safe",
        "the member of the best prior, the pseudo-label where that is expected to gain",
        safe,
        ranks=False,
        granularity="object",
    )
)


def policy_names(policy: str) -> tuple[str, ...]:
    """The parts of ``agreement+cycle``; `InputError` for one that does not exist."""
    names = SelectionOptions(policy).parts
    for name in names:
        if name == "recommender":
            raise InputError(
                f"selection.policy {policy}: the recommender is gone; set safe, which uses what a"
                " calibration has fitted"
            )
        one_of("selection.policy", name, POLICIES)
        if len(names) > 1 and not POLICIES[name].ranks:
            raise InputError(
                f"selection.policy {policy}: {name} scores nothing and cannot be combined"
            )
    return names


def policies_to_compare(videos: Iterable[Evidence], own: str) -> tuple[str, ...]:
    """The policies that a study and a calibration evaluate: every one that applies to the evidence,
    `agreement` combined with each other one that ranks and with all of them, and ``own``."""
    videos = list(videos)
    names = [p.name for p in POLICIES.values() if any(p.applies(video) for video in videos)]
    others = sorted(name for name in names if name != "agreement" and POLICIES[name].ranks)
    names += [f"agreement+{name}" for name in others]
    names += ["+".join(["agreement", *others]), own]
    return tuple(dict.fromkeys(names))


def granularities_of(policy: str) -> tuple[str, ...]:
    """The granularities that make a difference to a policy."""
    return GRANULARITIES if all(POLICIES[n].ranks for n in policy_names(policy)) else ("video",)


def policies_help() -> str:
    """The policies as lines for a command's help."""
    width = max(map(len, POLICIES)) + 2
    lines = [f"  {policy.name:{width}}{policy.summary}" for policy in POLICIES.values()]
    return "\n".join(["policies (several with + between them go by mean rank):", *lines])


def score(
    evidence: Evidence, options: SelectionOptions, calibration: Calibration | None = None
) -> Scores:
    """The scores of the policy, or the mean ranks of several, that ``options`` name."""
    parts = [
        POLICIES[name].score(evidence, options, calibration)
        for name in policy_names(options.policy)
    ]
    return parts[0] if len(parts) == 1 else combined(parts)


def combined(parts: list[Scores]) -> Scores:
    """Candidates that all parts score, by the mean of their ranks per object.

    A rank counts from 1 (the best) to 0 (the last); equal scores share a rank. The same on
    every frame.
    """
    names = [name for name in parts[0].candidates if all(name in p.candidates for p in parts)]
    total = np.zeros(())
    for part in parts:
        rows = [part.candidates.index(name) for name in names]
        total = total + ranks(mean_over_frames(part.scores[:, rows]))
    frames = np.where(np.isnan(parts[0].scores).all(axis=1, keepdims=True), np.nan, 0.0)
    fallbacks = tuple(chain.from_iterable(part.fallbacks for part in parts))
    return Scores(tuple(names), frames + total / len(parts), fallbacks)


def ranks(scores: np.ndarray) -> np.ndarray:
    """``(C, N)`` -> ``(C, N)`` from 1 for the largest of a column to 0 for the smallest.

    NaN where the column is NaN; 1 for a single candidate.
    """
    below = (scores[:, None] > scores[None]).sum(axis=1)
    equal = (scores[:, None] == scores[None]).sum(axis=1) - 1
    place = (below + equal / 2) / max(len(scores) - 1, 1)
    return np.where(np.isnan(scores), np.nan, place if len(scores) > 1 else 1.0)
