"""Decides who is to blame for a worker's death: its item, or the surroundings."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.pools import Item


class _Death(NamedTuple):
    time: float
    item: Item | None
    strong: bool


class DeathLog:
    """Recent deaths of workers.

    If a worker dies alone, its item is to blame. Something else is to blame if another worker, with
    another video or none, dies at the same moment; or if one dies within some seconds whose item
    cannot be the reason, because it had none, or because its member is known to work.
    """

    def __init__(self, limits: RunLimits):
        self._limits = limits
        self._deaths: deque[_Death] = deque(maxlen=1000)

    def add(self, time: float, item: Item | None, proven: bool) -> None:
        """A worker died with ``item`` or none; ``proven``: its member has completed items."""
        strong = proven and (item is None or item.deaths == 0)
        self._deaths.append(_Death(time, item, strong))

    def speaks_for(self, item: Item, died_at: float) -> bool:
        """Whether others died around the time at which ``item``'s worker did."""
        for death in reversed(self._deaths):
            if death.time < died_at - self._limits.blame_window:
                return False
            if death.item is not None and death.item.video == item.video:
                continue
            if death.strong or abs(death.time - died_at) <= self._limits.settle / 2:
                return True
        return False
