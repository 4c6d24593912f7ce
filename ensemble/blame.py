"""Whose fault a worker's death is: the item's, or the surroundings'."""

from __future__ import annotations

from collections import deque

from ensemble.events import Limits
from ensemble.pools import Item


class DeathLog:
    """Recent deaths of workers that their own item cannot have caused.

    A worker that dies alone is its item's fault. When idle workers, or workers of members
    that are known to work, die at about the same time, something else kills.
    """

    def __init__(self, limits: Limits):
        self._window = limits.blame_window
        self._deaths: deque[tuple[float, Item | None]] = deque(maxlen=1000)

    def add(self, time: float, item: Item | None) -> None:
        """A worker died that was idle (None) or ran an ``item`` never blamed before."""
        self._deaths.append((time, item))

    def speaks_for(self, item: Item, died_at: float, now: float) -> bool:
        """Whether others died from a while before ``died_at`` until now."""
        for time, other in reversed(self._deaths):
            if time < died_at - self._window:
                return False
            if time <= now and other is not item:
                return True
        return False
