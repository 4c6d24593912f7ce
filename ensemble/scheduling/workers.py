"""The workers, and whether there is room for more. Used by the scheduler only."""

from __future__ import annotations

from dataclasses import dataclass

from ensemble.scheduling.messages import Capacity, Shape
from ensemble.scheduling.pools import Item, Pool, Quarantine


@dataclass(eq=False)
class Worker:
    """A worker: requested, up (its process runs), then idle or busy with one item.

    waiting_since   when its process or its present member began to start
    started         when its present item did
    """

    id: int
    pool: Pool
    shape: Shape
    requested: float
    waiting_since: float
    ready: bool = False
    item: Item | None = None
    started: float = 0.0
    completed: int = 0


class Workforce:
    """All workers, by what they do, and the room that they leave.

    finish   what a worker needs to finish videos
    """

    def __init__(self, finish: Shape, quarantine: Quarantine):
        self._finish = finish
        self._quarantine = quarantine
        self.workers: dict[int, Worker] = {}
        self.pending: dict[int, Worker] = {}
        self.idle: dict[Shape, dict[int, Worker]] = {}
        self.capacity = Capacity(0.0, Shape(0, 0, 0))
        self._used = Shape(0, 0, 0)
        self._able = 0
        self._last = 0

    def can_finish(self, shape: Shape) -> bool:
        """Whether such a worker may finish videos: a GPU is too dear for it."""
        return shape.gpus == 0 and self._finish.fits(shape)

    def has_room(self, shape: Shape, idle_gone: bool = False) -> bool:
        """Whether a worker of this shape can be started (or could, were the idle ones gone).

        A core is kept free for finishing videos if no worker could do it.
        """
        workers, able, used = len(self.workers), self._able, self._used
        if idle_gone:
            for kind, idle in self.idle.items():
                workers -= len(idle)
                able -= len(idle) * self.can_finish(kind)
                used = _plus(used, kind, -len(idle))
        if self.capacity.workers is not None and workers >= self.capacity.workers:
            return False
        if workers and not able and not self.can_finish(shape):
            used = _plus(used, self._finish)
        return _plus(used, shape).fits(self.capacity.room)

    def hire(self, pool: Pool, now: float) -> Worker:
        """A new worker for ``pool``, to be started."""
        self._last += 1
        worker = Worker(self._last, pool, pool.shape, now, now)
        self.workers[worker.id] = self.pending[worker.id] = worker
        self._count(worker, 1)
        pool.workers += 1
        pool.loading += 1
        return worker

    def dismiss(self, worker: Worker) -> Item | None:
        """Forget the worker; the item that it was busy with, if any."""
        del self.workers[worker.id]
        self.pending.pop(worker.id, None)
        self._idle_like(worker).pop(worker.id, None)
        self._count(worker, -1)
        worker.pool.workers -= 1
        worker.pool.loading -= not worker.ready
        return self.rest(worker) if worker.item is not None else None

    def move(self, worker: Worker, pool: Pool, now: float) -> None:
        """An idle worker begins to load another member."""
        del self._idle_like(worker)[worker.id]
        worker.pool.workers -= 1
        pool.workers += 1
        pool.loading += 1
        worker.pool, worker.ready, worker.waiting_since = pool, False, now

    def up(self, worker: Worker, now: float) -> None:
        """The worker's process runs."""
        self.pending.pop(worker.id, None)
        worker.waiting_since = now

    def loaded(self, worker: Worker) -> None:
        """The worker is ready, and idle."""
        self.pending.pop(worker.id, None)
        worker.pool.loading -= 1
        worker.ready = True
        self.rest(worker)

    def occupy(self, worker: Worker, item: Item, now: float) -> None:
        """The worker begins ``item``."""
        del self._idle_like(worker)[worker.id]
        worker.item, worker.started = item, now

    def rest(self, worker: Worker) -> Item | None:
        """The worker is no longer busy; with what it was."""
        item, worker.item = worker.item, None
        if item is not None:
            item.pool.leave(item)
        if worker.id in self.workers:
            self._idle_like(worker)[worker.id] = worker
        return item

    def _idle_like(self, worker: Worker) -> dict[int, Worker]:
        return self.idle.setdefault(worker.shape, {})

    def _count(self, worker: Worker, sign: int) -> None:
        self._quarantine.workers += sign
        self._able += sign * self.can_finish(worker.shape)
        self._used = _plus(self._used, worker.shape, sign)


def _plus(a: Shape, b: Shape, times: int = 1) -> Shape:
    return Shape(a.cpus + times * b.cpus, a.gpus + times * b.gpus, a.memory + times * b.memory)
