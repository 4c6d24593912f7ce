"""What is worth doing within the budget of a refinement: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from selection.refined import Dispute

LOOKING = 0.5
"""Share of the budget for following masks back; what is not spent of it is left for correcting."""


@dataclass(frozen=True)
class VideoSize:
    """What the costs of a video are reckoned by.

    frames, objects  are how many there are
    units            is the cost of one member over all of it
    """

    frames: int
    objects: int
    units: float

    def looking(self, dispute: Dispute) -> float:
        """The cost of following every mask of a dispute back, each of one object."""
        seen = sum(claim.seen for claim in dispute.claims)
        frames = seen * (dispute.frame - dispute.sure + 1)
        return self.units * frames / (self.frames * max(self.objects, 1))

    def correcting(self, dispute: Dispute) -> float:
        """The cost of running one member on from a correction, at most."""
        frames = self.frames - dispute.sure + 1
        return self.units * min(frames / self.frames, 1.0)


@dataclass(frozen=True)
class Chosen:
    """Disputes by video, each in the order of its gain, and what they cost together."""

    disputes: Mapping[str, tuple[Dispute, ...]]
    cost: float


def choose_disputes(
    disputes: Mapping[str, Iterable[Dispute]], sizes: Mapping[str, VideoSize], budget: float
) -> Chosen:
    """The disputes to look into, the most valuable of all videos first, for at most ``budget``."""
    return _chosen(disputes, budget, lambda video, dispute: sizes[video].looking(dispute))


def choose_corrections(
    disputes: Mapping[str, Iterable[Dispute]], sizes: Mapping[str, VideoSize], budget: float
) -> Chosen:
    """Those of the disputes whose `corrected` members can be run again for at most ``budget``."""
    wanted = {
        video: [dispute for dispute in told if dispute.corrected]
        for video, told in disputes.items()
    }
    return _chosen(wanted, budget, lambda video, d: len(d.corrected) * sizes[video].correcting(d))


def _chosen(
    disputes: Mapping[str, Iterable[Dispute]],
    budget: float,
    price: Callable[[str, Dispute], float],
) -> Chosen:
    order = sorted(
        ((video, dispute) for video, told in disputes.items() for dispute in told),
        key=lambda item: (-item[1].gain, item[0], item[1].object_id, item[1].frame),
    )
    kept: dict[str, tuple[Dispute, ...]] = {}
    cost = 0.0
    for video, dispute in order:
        if cost + price(video, dispute) <= budget:
            cost += price(video, dispute)
            kept[video] = (*kept.get(video, ()), dispute)
    return Chosen(kept, cost)
