"""One member's queue and its measured cost. Used by the scheduler only."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import MemberSpec

QUARANTINE_SHARE = 8
"""At most one worker in this many runs a quarantined item; one always may."""


@dataclass
class Quarantine:
    """How many quarantined items run, of all pools, and how many workers there are."""

    running: int = 0
    workers: int = 0

    @property
    def room(self) -> int:
        return max(0, max(1, self.workers // QUARANTINE_SHARE) - self.running)


@dataclass(eq=False, slots=True)
class Item:
    """A pair, or a video to finish, with its failures so far."""

    sequence: int
    pool: Pool
    video: str
    units: float
    delayed: bool = False
    attempts: int = 0
    infrastructure: int = 0
    suspect: int = 0
    deaths: int = 0
    errors: int = 0
    step: int = 0
    memory_kills: int = 0
    quarantined: bool = False
    died_at: float | None = None
    message: str = ""

    @property
    def charged(self) -> int:
        """How often the item itself was to blame for the end of a worker."""
        return self.suspect + self.memory_kills


class Pool:
    """A member's items and counters.

    queued      items that wait, the delayed ones included
    waiting     items that could be given to a worker now
    workers     its workers, of which ``loading`` are not ready yet
    completed   items done by this driver
    barren      rounds in a row in which its workers ended without completing anything
    """

    def __init__(self, spec: MemberSpec, limits: RunLimits, quarantine: Quarantine):
        self.spec = spec
        self.shape = spec.shape
        self._limits = limits
        self._shared = quarantine
        self._ready: list[tuple[float, int, Item]] = []
        self._quarantine: list[tuple[float, int, Item]] = []
        self.queued = self.running = self.workers = self.loading = self.completed = 0
        self._queued_units = self._running_units = 0.0
        self._measured_units = self._measured_seconds = 0.0
        self._loads = 0
        self._load_seconds = 0.0
        self.barren = 0
        self.barren_since = float("-inf")
        self.not_before = 0.0
        self.stopped: str | None = None

    # The queue.

    def add(self, item: Item) -> None:
        """Queue it; longest first, in quarantine apart."""
        heap = self._quarantine if item.quarantined else self._ready
        heapq.heappush(heap, (-item.units, item.sequence, item))
        self._count(item, 1)

    def delay(self, item: Item) -> None:
        item.delayed = True
        self._count(item, 1)

    def undelay(self, item: Item) -> None:
        item.delayed = False
        self._count(item, -1)

    def _count(self, item: Item, sign: int) -> None:
        self.queued += sign
        self._queued_units = max(0.0, self._queued_units + sign * item.units)

    @property
    def waiting(self) -> int:
        if not self._quarantine:
            return len(self._ready)
        return len(self._ready) + min(len(self._quarantine), self._shared.room)

    def take(self) -> Item | None:
        """The next item, now running; quarantined ones last and few at a time."""
        if self.waiting == 0:
            return None
        item = heapq.heappop(self._ready or self._quarantine)[2]
        self._count(item, -1)
        self.running += 1
        self._running_units += item.units
        self._shared.running += item.quarantined
        return item

    def leave(self, item: Item) -> None:
        """The item is no longer running."""
        self.running -= 1
        self._running_units = max(0.0, self._running_units - item.units)
        self._shared.running -= item.quarantined

    def drain(self) -> list[Item]:
        """Take out all waiting items."""
        items = [entry[2] for entry in sorted(self._ready) + sorted(self._quarantine)]
        self._ready, self._quarantine = [], []
        for item in items:
            self._count(item, -1)
        return items

    # Measurements.

    def measure(self, units: float, seconds: float) -> None:
        self.completed += 1
        self.barren = 0
        self.not_before = 0.0
        self._measured_units += units
        self._measured_seconds += seconds

    def measure_load(self, seconds: float) -> None:
        self._loads += 1
        self._load_seconds += seconds

    @property
    def seconds_per_unit(self) -> float:
        if self._measured_units > 0:
            return self._measured_seconds / self._measured_units
        return self.spec.seconds_per_unit

    def deadline(self, units: float) -> float:
        """Seconds that an item of this cost may take."""
        if self.completed == 0:
            return self._limits.first_deadline
        expected = units * self.seconds_per_unit
        return max(self._limits.deadline_floor, self._limits.deadline_factor * expected)

    def need(self) -> float:
        """Seconds of queued work per worker if there were one more worker."""
        return self._queued_units * self.seconds_per_unit / (self.workers + 1)

    def wants_worker(self, now: float) -> bool:
        """Whether one more worker may start and would be ready before the work is done anyway."""
        if self.stopped is not None or now < self.not_before or self.waiting <= self.loading:
            return False
        if self.spec.max_workers is not None and self.workers >= self.spec.max_workers:
            return False
        if self.workers == 0 or self.completed == 0:
            return True
        left = (self._queued_units + self._running_units) * self.seconds_per_unit / self.workers
        return left > self._load_seconds / max(1, self._loads)
