"""Which workers the open work wants. Used by the scheduler only, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ensemble.scheduling.ledger import Ledger
from ensemble.scheduling.messages import Shape
from ensemble.scheduling.pools import Pool
from ensemble.scheduling.workers import Workforce


class Demand:
    """Compares the work that waits with the workers that there are.

    members   shape of a worker -> the pools of the members that such workers can hold
    finish    is the pool of videos to finish
    """

    def __init__(self, pools: Sequence[Pool], workers: Workforce, ledger: Ledger):
        """``pools`` are those of the members, then that of the videos to finish."""
        self._pools = pools
        self._workers = workers
        self._ledger = ledger
        self.finish = pools[-1]
        self.members: dict[Shape, list[Pool]] = {}
        for pool in pools[:-1]:
            self.members.setdefault(pool.shape, []).append(pool)

    def of_shape(self, shape: Shape) -> list[Pool]:
        """The pools of the members that a worker of this shape can hold."""
        return self.members.get(shape, [])

    def neediest(self, pools: Iterable[Pool], now: float) -> Pool | None:
        """The pool with the most work per worker, among those that one more worker would help."""
        wanting = [pool for pool in pools if pool.wants_worker(now)]
        return max(wanting, key=Pool.need, default=None)

    def to_start(self, now: float) -> Pool | None:
        """The pool that should get a new worker next, if there is room for one."""
        fitting = [
            pool
            for shape, pools in self.members.items()
            if self._workers.has_room(shape)
            for pool in pools
        ]
        if self.finish.waiting and self._workers.has_room(self.finish.shape):
            fitting.append(self.finish)
        return self.neediest(fitting, now)

    def is_surplus(self, shape: Shape, now: float) -> bool:
        """Whether an idle worker should go: to make room, or because nothing is left for it."""
        wanted = {pool.shape for pool in self._pools if pool.wants_worker(now)}
        for other in wanted - {shape}:
            if not self._workers.has_room(other) and self._workers.has_room(other, idle_gone=True):
                return True
        if any(pool.queued for pool in self.of_shape(shape)):
            return False
        idle = sum(len(workers) for workers in self._workers.idle.values())
        return not self._workers.can_finish(shape) or idle > self._unfinished()

    def work_for(self, shape: Shape) -> bool:
        """Whether anything is queued, or will be, for workers of this shape."""
        if any(pool.queued for pool in self.of_shape(shape)):
            return True
        return self._workers.can_finish(shape) and self._unfinished() > 0

    def _unfinished(self) -> int:
        """Videos of which finishing is neither running nor settled."""
        pairs = sum(pool.queued + pool.running for pool in self._pools[:-1])
        return self._ledger.open - pairs - self.finish.running
