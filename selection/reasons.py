"""Why a candidate was selected, as values; `Reason.sentence` is the one place that words them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Ground(Enum):
    """The grounds of a selection."""

    ONLY_CANDIDATE = auto()
    SEVERAL_CANDIDATES = auto()
    SCORE = auto()
    PRIOR = auto()
    TIE = auto()
    AGREEMENT = auto()
    AGREEMENT_AND_PRIOR = auto()
    BY_HAND = auto()


class FallbackCause(Enum):
    """Why a policy scored by agreement instead of its own way."""

    NOT_FOLLOWED_BACK = "followed back nowhere"


@dataclass(frozen=True)
class Fallback:
    """A policy scored by agreement."""

    cause: FallbackCause

    def words(self) -> str:
        """As a part of a sentence."""
        return f"{self.cause.value}: by agreement"


@dataclass(frozen=True)
class Reason:
    """Why a selection is what it is; which values are set depends on the ground.

    policy       is what scored the candidates
    agreement    is the winner's mean J&F with the pseudo-label, in [0, 1]
    prior        is the winner's expected J&F, in [0, 1]
    objects      are the ids that each candidate gives: candidate -> ids
    candidate, object_id   were chosen by hand; no id: for the whole video
    fallbacks    are the reasons why the policy scored by agreement instead
    """

    ground: Ground
    policy: str = ""
    agreement: float = 0.0
    prior: float = 0.0
    objects: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    candidate: str = ""
    object_id: int | None = None
    fallbacks: tuple[Fallback, ...] = ()

    def sentence(self) -> str:
        """The reason, for people."""
        text = self._ground()
        if self.fallbacks:
            text += f" ({'; '.join(fallback.words() for fallback in self.fallbacks)})"
        return text

    def _ground(self) -> str:
        score = f"J&F {100 * self.agreement:.1f}"
        if self.ground is Ground.SEVERAL_CANDIDATES:
            return "the best per object: " + "; ".join(
                f"{name} on {'object' if len(ids) == 1 else 'objects'} {', '.join(map(str, ids))}"
                for name, ids in self.objects.items()
            )
        if self.ground is Ground.BY_HAND:
            what = "the video" if self.object_id is None else f"object {self.object_id}"
            return f"{self.candidate} chosen by hand for {what}"
        return {
            Ground.ONLY_CANDIDATE: "the only candidate",
            Ground.SCORE: f"the highest score by {self.policy}",
            Ground.PRIOR: "no frame to score: the best prior",
            Ground.TIE: f"within the tie of the best score and of the best prior ({score})",
            Ground.AGREEMENT: f"agrees best with the pseudo-label ({score})",
            Ground.AGREEMENT_AND_PRIOR: f"agrees with the pseudo-label at {score} and has the"
            f" prior {100 * self.prior:.1f}",
        }[self.ground]
