"""Keeps account of the items: settled, tried again later, or given up. Used by the scheduler only,
which tells it what happened."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ensemble.scheduling.death_log import DeathLog
from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import (
    FINISH,
    Action,
    GiveUp,
    Loss,
    Pair,
    Retry,
    StopMember,
)
from ensemble.scheduling.pools import Item, Pool
from stseg.failures import FailureKind


@dataclass
class OpenVideo:
    """How many pairs of a video are open, and which members have a complete prediction."""

    open: int = 0
    units: float = 0.0
    members: list[str] = field(default_factory=list)


class Ledger:
    """All items of a run and their budgets.

    pools   member -> its pool, and `FINISH`; items wait in them
    emit    takes the actions that tell what was decided
    open    how many pairs and videos are not settled yet
    """

    def __init__(self, pools: dict[str, Pool], limits: RunLimits, emit: Callable[[Action], None]):
        self._pools = pools
        self._limits = limits
        self._emit = emit
        self._order = {name: index for index, name in enumerate(pools)}
        self._videos: dict[str, OpenVideo] = {}
        self._delayed: list[tuple[float, int, Item]] = []
        self._items = 0
        self.deaths = DeathLog(limits)
        self.open = 0

    def enqueue(self, pairs: Iterable[Pair], done: Iterable[tuple[str, str]]) -> None:
        """Take in the whole run. Pairs ``done`` before count for finishing only."""
        for pair in pairs:
            self._new(self._pools[pair.member], pair.video, pair.units)
            video = self._videos.setdefault(pair.video, OpenVideo())
            video.open += 1
            video.units += pair.units
        for member, name in done:
            self._videos.setdefault(name, OpenVideo()).members.append(member)
        self.open = self._items + len(self._videos)
        for name, video in self._videos.items():
            if video.open == 0:
                self._close(name, video)

    def _new(self, pool: Pool, video: str, units: float) -> None:
        pool.add(Item(self._items, pool, video, units))
        self._items += 1

    def members(self, video: str) -> tuple[str, ...]:
        """The members that have a prediction of ``video``, in the run's order."""
        complete = self._videos[video].members
        return tuple(sorted(complete, key=lambda name: self._order.get(name, len(self._order))))

    # What happened to an item.

    def done(self, item: Item, seconds: float) -> None:
        """The item is complete."""
        item.pool.measure(item.units, seconds)
        self.open -= 1
        if not self._is_finish(item):
            self._videos[item.video].members.append(item.pool.spec.name)
            self._pair_settled(item.video)

    def raised(self, item: Item, message: str, now: float) -> None:
        """The item raised an exception, which may not happen again."""
        item.errors += 1
        if item.errors >= self._limits.errors:
            self.give_up(item, FailureKind.ERROR, message)
        else:
            self._retry(item, FailureKind.ERROR, message, now, self.backoff(item.errors))

    def short_of_memory(self, item: Item, message: str, now: float, delay: float = 0.0) -> None:
        """The item needs the next step of the out-of-memory ladder."""
        item.step += 1
        if item.step > self._limits.ladder:
            self.give_up(item, FailureKind.MEMORY, message)
        else:
            self._retry(item, FailureKind.MEMORY, message, now, delay)

    def lost(self, item: Item, loss: Loss, message: str, now: float) -> None:
        """The item's worker is gone."""
        if loss == "node":
            self._blame_nobody(item, message, now)
        elif loss == "died":
            item.died_at = now
            item.deaths += 1
            self._retry(item, FailureKind.DIED, message, now, self._limits.settle)
        elif item.memory_kills:
            item.memory_kills += 1
            self.short_of_memory(item, message, now, self.backoff(item.memory_kills))
        else:  # the memory monitor may have hit the wrong one
            item.memory_kills = 1
            item.quarantined = True
            self._retry(item, FailureKind.MEMORY, message, now, self.backoff(1))

    def charge(self, item: Item, message: str, now: float) -> None:
        """The item itself was to blame for the end of its worker."""
        item.suspect += 1
        item.quarantined = True
        if item.suspect >= self._limits.suspect:
            self.give_up(item, FailureKind.SUSPECT, message)
        else:
            self._retry(item, FailureKind.SUSPECT, message, now, self.backoff(2 * item.suspect - 1))

    def give_up(self, item: Item, category: FailureKind, message: str) -> None:
        """Give the item up."""
        self.open -= 1
        self._emit(GiveUp(item.pool.spec.name, item.video, category, message, item.attempts))
        if not self._is_finish(item):
            self._pair_settled(item.video)

    def _blame_nobody(self, item: Item, message: str, now: float) -> None:
        item.infrastructure += 1
        if item.infrastructure > self._limits.infrastructure:
            self.give_up(item, FailureKind.INFRASTRUCTURE, message)
        else:
            delay = self.backoff(item.infrastructure - 1)
            self._retry(item, FailureKind.INFRASTRUCTURE, message, now, delay)

    def _judge(self, item: Item, died_at: float, now: float) -> None:
        """Decide about an item whose worker died a while ago, now that it is known which others
        died."""
        item.died_at = None
        item.quarantined |= item.deaths > 1
        if self.deaths.speaks_for(item, died_at):
            self._blame_nobody(item, item.message, now)
        else:
            self.charge(item, item.message, now)

    def backoff(self, count: int) -> float:
        """Seconds to wait after ``count`` failures: `RunLimits.backoff`, doubled with each further
        one."""
        if count <= 0:
            return 0.0
        return min(self._limits.backoff_cap, self._limits.backoff * 2.0 ** min(count - 1, 30))

    # Waiting.

    def _retry(
        self, item: Item, category: FailureKind, message: str, now: float, delay: float
    ) -> None:
        if item.pool.stopped is not None:
            self.give_up(item, FailureKind.MEMBER, item.pool.stopped)
            return
        item.message = message
        at = now + delay
        self._emit(Retry(item.pool.spec.name, item.video, category, message, at))
        if delay > 0:
            item.pool.delay(item)
            heapq.heappush(self._delayed, (at, item.sequence, item))
        else:
            item.pool.add(item)

    def next_release(self) -> float:
        """When the next delayed item is due; infinity if there is none."""
        return self._delayed[0][0] if self._delayed else float("inf")

    def release(self, now: float) -> None:
        """Queue the delayed items that are due."""
        while self._delayed and self._delayed[0][0] <= now:
            item = heapq.heappop(self._delayed)[2]
            if not item.delayed:
                continue
            item.pool.undelay(item)
            if item.died_at is not None:
                self._judge(item, item.died_at, now)
            else:
                item.pool.add(item)

    # Members and videos.

    def stop_member(self, pool: Pool, message: str) -> None:
        """Stop a member: give up all of its items."""
        pool.stopped = message
        self._emit(StopMember(pool.spec.name, message))
        for item in pool.drain():
            self.give_up(item, FailureKind.MEMBER, message)
        for _, _, item in self._delayed:
            if item.pool is pool and item.delayed:
                pool.undelay(item)
                self.give_up(item, FailureKind.MEMBER, message)

    def _is_finish(self, item: Item) -> bool:
        return item.pool is self._pools[FINISH]

    def _pair_settled(self, name: str) -> None:
        video = self._videos[name]
        video.open -= 1
        if video.open == 0:
            self._close(name, video)

    def _close(self, name: str, video: OpenVideo) -> None:
        """Every pair of the video is settled: finish the video, if any member has a prediction."""
        finish = self._pools[FINISH]
        if video.members and finish.stopped is None:
            self._new(finish, name, video.units)
            return
        self.open -= 1
        if video.members:
            self._emit(GiveUp(FINISH, name, FailureKind.MEMBER, finish.stopped or "", 0))
        else:
            self._emit(GiveUp(FINISH, name, FailureKind.PAIRS, "no member could segment it", 0))
