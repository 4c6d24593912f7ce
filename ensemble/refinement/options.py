"""Options of the refinement."""

from __future__ import annotations

from dataclasses import dataclass

from stseg.config import option


@dataclass(frozen=True)
class RefinementOptions:
    """How much may be spent on what the members dispute."""

    budget: float = option(
        0.0,
        doc="Extra work at most, as a share of the run's own, for following disputed masks back "
        "and correcting members by those that lead back; the most valuable disputes of the whole "
        "run first. 0: none.",
        least=0,
    )

    rounds: int = option(
        1,
        doc="Rounds at most: what the members dispute once some of them are corrected is looked "
        "into again, until nobody is corrected or the budget is spent.",
        least=1,
    )

    @property
    def on(self) -> bool:
        """Whether anything is refined."""
        return self.budget > 0
