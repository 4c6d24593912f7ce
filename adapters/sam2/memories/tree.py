"""Several hypotheses side by side (SAM2Long, Ding et al. 2024, Sec. 3).

Each hypothesis has a memory of its own. On every frame each proposes its three masks, and of all
together the best go on, by the sum of the logarithms of their predicted IoU since the start. A
mask that looks best on one frame and leads astray is so outlived by one that leads on.

The answer for a frame is that of the hypothesis that is best later. It is held back until all
hypotheses have it from the same ancestor, or the lag has passed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.sam2.memories.recent import WorthyFrames
from adapters.sam2.memories.record import MaskChoice, Moment, Proposal, Taken, View
from adapters.sam2.memories.window import Maps, MemoryLimits, Pointers, WindowMemory
from adapters.sam2.scaling import ObjectMask

CERTAIN_SCORE = 2.0
"""Object score, either way, above which the network is certain."""

WORTHY_IOU = 0.1
"""Predicted IoU above which a frame is worth keeping, if the object is there."""


class SeenMemory(WindowMemory):
    """Keeps the frames on which the object was seen."""

    def maps(self) -> Maps:
        return WorthyFrames(self._limits.frames - 1, always=False)

    def pointers(self) -> Pointers:
        return WorthyFrames(self._limits.pointers - 1, always=False)

    def is_worthy(self, taken: Taken) -> bool:
        return taken.iou > WORTHY_IOU and taken.proposal.score > 0


@dataclass(frozen=True)
class Hypothesis:
    """One way in which things may have gone.

    memory   what it remembers
    score    sum of log(predicted IoU + 1e-5)
    path     its masks on the frames that are not decided
    """

    memory: WindowMemory
    score: float = 0.0
    path: tuple[ObjectMask, ...] = ()


class TreeMemory:
    """Hypotheses about one object: an `ObjectMemory`.

    hypotheses   kept at most. A single one has nothing to choose from: it remembers as
                 `WindowMemory` does
    lag          frames until an answer is given out at the latest
    """

    def __init__(self, limits: MemoryLimits, hypotheses: int = 3, lag: int = 15):
        self._most, self._lag = hypotheses, lag
        root = SeenMemory(limits) if hypotheses > 1 else WindowMemory(limits)
        self._hypotheses = [Hypothesis(root)]

    def views(self, now: int) -> list[View]:
        return [hypothesis.memory.view(now) for hypothesis in self._hypotheses]

    def choose(self, proposals: Sequence[Proposal]) -> list[MaskChoice]:
        scores = [hypothesis.score for hypothesis in self._hypotheses]
        return best_choices(scores, proposals, self._most)

    def remember(self, taken: Sequence[Taken]) -> list[ObjectMask]:
        self._hypotheses = [self._followed(each) for each in taken]
        return self._decided()

    def condition(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        return self._certain(self._best.memory.condition(moment, answer))

    def lose(self, moment: Moment, answer: ObjectMask) -> list[ObjectMask]:
        return self._certain(self._best.memory.lose(moment, answer))

    def rest(self) -> list[ObjectMask]:
        return self._certain([])

    @property
    def _best(self) -> Hypothesis:
        return max(self._hypotheses, key=lambda hypothesis: hypothesis.score)

    def _followed(self, taken: Taken) -> Hypothesis:
        parent = self._hypotheses[taken.choice.proposal]
        memory = parent.memory.fork()
        memory.remember([taken])
        return Hypothesis(memory, parent.score + gain(taken.iou), (*parent.path, taken.answer))

    def _certain(self, answers: Sequence[ObjectMask]) -> list[ObjectMask]:
        """Decide everything in favour of the best hypothesis, and then these answers."""
        best = self._best
        self._hypotheses = [Hypothesis(best.memory)]
        return [*best.path, *answers]

    def _decided(self) -> list[ObjectMask]:
        """Take from the paths what all share, and what has waited for the lag."""
        best, count = self._best.path, 0
        while count < len(best) and (
            len(best) - count > self._lag
            or all(each.path[count] is best[count] for each in self._hypotheses)
        ):
            count += 1
        self._hypotheses = [replace(each, path=each.path[count:]) for each in self._hypotheses]
        return list(best[:count])


def gain(iou: float) -> float:
    """What a mask of a predicted IoU adds to the score of a hypothesis."""
    return math.log(max(iou, 0.0) + 1e-5)


def best_choices(
    scores: Sequence[float], proposals: Sequence[Proposal], most: int
) -> list[MaskChoice]:
    """The best masks of all hypotheses, at most ``most``, the best first.

    scores   of the hypotheses so far, one for each proposal

    Where the network is certain about no proposal, those chosen should differ: their predicted
    IoU, to two decimals. If there are too few of these, the best of the others follow.
    """
    ranked = sorted(
        (
            (scores[number] + gain(iou), number, mask)
            for number, proposal in enumerate(proposals)
            for mask, iou in enumerate(proposal.ious)
        ),
        key=lambda candidate: (-candidate[0], candidate[1:]),
    )
    choices = [MaskChoice(number, mask) for _, number, mask in ranked]
    if max(abs(proposal.score) for proposal in proposals) > CERTAIN_SCORE:
        return choices[:most]
    different: dict[float, MaskChoice] = {}
    for choice in choices:
        different.setdefault(round(proposals[choice.proposal].ious[choice.mask], 2), choice)
    first = list(different.values())
    return [*first, *(choice for choice in choices if choice not in first)][:most]
