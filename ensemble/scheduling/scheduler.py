"""Which worker runs what, and what happens when it fails: events in, actions out.

Pure: no processes, no clock. `Scheduler.handle` takes what happened (see
`ensemble.scheduling.messages`), each event with its time, and returns what is to be done; the same
events give the same actions, so a run can be replayed and simulated.

Work is a queue of pairs (member, video) per member, longest first, one in flight per
worker. A worker holds one member; with nothing left to do it takes over the member of
the same shape with most work left, or is stopped. When every pair of a video is done or
given up the video is finished, on a worker without a GPU.
"""

from __future__ import annotations

from ensemble.scheduling.demand import Demand
from ensemble.scheduling.ledger import Ledger
from ensemble.scheduling.messages import (
    Abort,
    Action,
    Attempt,
    Capacity,
    Done,
    Event,
    Failed,
    Finish,
    Load,
    Loaded,
    LoadFailed,
    Run,
    Start,
    Stop,
    Tick,
    WorkerLost,
    WorkerUp,
    Workload,
)
from ensemble.scheduling.pools import Item, Pool, Quarantine
from ensemble.scheduling.workers import Worker, Workforce
from stseg.failures import FailureKind

SCAN_INTERVAL = 30.0
"""Deadlines follow the measured cost; seconds after which they are looked at again, at the
latest."""


class Scheduler:
    """The state of one run."""

    def __init__(self, work: Workload):
        self._limits = work.limits
        self._fence = work.fence
        self._now = 0.0
        self._tokens = 0
        self._next_scan = float("inf")
        self._actions: list[Action] = []
        quarantine = Quarantine()
        specs = [*work.members, work.finish]
        pools = {spec.name: Pool(spec, self._limits, quarantine) for spec in specs}
        self._pools = list(pools.values())
        self._finish = self._pools[-1]
        self._workers = Workforce(self._finish.shape, quarantine)
        self._ledger = Ledger(pools, self._limits, self._actions.append)
        self._demand = Demand(self._pools, self._workers, self._ledger)
        self._ledger.enqueue(work.pairs, work.done)

    @property
    def finished(self) -> bool:
        """Everything is done or given up."""
        return self._ledger.open == 0

    def wake_at(self) -> float:
        """When something is due even if no event arrives; infinity if nothing is."""
        starts = [pool.not_before for pool in self._pools if pool.waiting]
        starts = [time for time in starts if time > self._now]
        return min([self._next_scan, self._ledger.next_release(), *starts])

    def handle(self, *events: Event) -> list[Action]:
        """Take the events in order, and return the actions."""
        for event in events:
            self._now = max(self._now, event.time)
            if isinstance(event, Capacity):
                self._workers.capacity = event
            elif not isinstance(event, Tick):
                worker = self._workers.workers.get(event.worker)
                if worker is not None:
                    self._take_in(worker, event)
        self._ledger.release(self._now)
        if self._now >= self._next_scan:
            self._scan_deadlines()
        self._employ()
        actions = list(self._actions)
        self._actions.clear()
        return actions

    # What happened to a worker.

    def _take_in(self, worker: Worker, event: Event) -> None:
        if isinstance(event, WorkerUp):
            self._workers.up(worker, self._now)
            self._expect(self._now + self._limits.start_deadline)
        elif isinstance(event, Loaded):
            worker.pool.measure_load(event.seconds)
            self._workers.loaded(worker)
        elif isinstance(event, LoadFailed):
            self._stop(worker, "its member could not be loaded")
            if event.failure is FailureKind.INPUT:
                self._stop_member(worker.pool, event.message)
            else:
                self._count_barren(worker, None, event.message)
        elif isinstance(event, Done):
            self._on_done(worker, event)
        elif isinstance(event, Failed):
            self._on_failed(worker, event)
        elif isinstance(event, WorkerLost):
            self._on_lost(worker, event)

    def _on_done(self, worker: Worker, event: Done) -> None:
        item = self._item_of(worker)
        self._workers.rest(worker)
        worker.completed += 1
        if item.pool.completed == 0:
            self._next_scan = self._now  # now its deadlines are known
        self._ledger.done(item, event.seconds)

    def _on_failed(self, worker: Worker, event: Failed) -> None:
        item = self._item_of(worker)
        if event.failure is FailureKind.BROKEN:
            self._stop(worker, "an error left its process unusable")
            self._count_barren(worker, item, event.message)
            self._ledger.lost(item, "died", event.message, self._now)
            return
        self._workers.rest(worker)
        if event.failure is FailureKind.DISK:
            self._actions.append(Abort(event.message))
        elif event.failure in (FailureKind.INPUT, FailureKind.CORRUPT):
            self._ledger.give_up(item, event.failure, event.message)
        elif event.failure is FailureKind.MEMORY:
            self._ledger.short_of_memory(item, event.message, self._now)
        else:
            self._ledger.raised(item, event.message, self._now)

    def _on_lost(self, worker: Worker, event: WorkerLost) -> None:
        item = self._workers.dismiss(worker)
        self._count_barren(worker, item, event.message)
        if item is None:
            proven = worker.ready or worker.pool.completed > 0
            self._ledger.deaths.add(self._now, None, proven)
        else:
            self._ledger.deaths.add(self._now, item, item.pool.completed > 0)
            self._ledger.lost(item, event.loss, event.message, self._now)

    def _item_of(self, worker: Worker) -> Item:
        if worker.item is None:
            raise RuntimeError(f"worker {worker.id} reports on an item that it was not given")
        return worker.item

    def _count_barren(self, worker: Worker, item: Item | None, message: str) -> None:
        """A worker ended before it completed anything: counted once per round and member.

        A round ends with a failure; workers that were requested before it tell nothing new.
        """
        if worker.completed > 0 or (item is not None and item.charged > 0):
            return
        pool = item.pool if item is not None else worker.pool
        if worker.requested < pool.barren_since:
            return
        pool.barren += 1
        pool.barren_since = self._now
        pool.not_before = self._now + self._ledger.backoff(pool.barren)
        if pool.barren >= self._limits.barren * (2 if pool.completed else 1):
            self._stop_member(pool, f"its workers only die: {message}")

    def _stop_member(self, pool: Pool, message: str) -> None:
        """The breaker."""
        if pool.stopped is not None:
            return
        self._ledger.stop_member(pool, message)
        for worker in list(self._workers.workers.values()):
            if worker.pool is pool and not worker.ready:
                self._stop(worker, "its member was given up")

    def _expect(self, time: float) -> None:
        """Set a deadline: something must be over by ``time``."""
        self._next_scan = min(self._next_scan, time)

    def _scan_deadlines(self) -> None:
        earliest = float("inf")
        for worker in list(self._workers.workers.values()):
            due = self._due(worker)
            if due > self._now:
                earliest = min(earliest, due)
            else:
                self._overdue(worker)
        again = self._now + SCAN_INTERVAL if self._workers.workers else float("inf")
        self._next_scan = min(earliest, again)

    def _due(self, worker: Worker) -> float:
        if worker.item is not None:
            return worker.started + worker.item.pool.deadline(worker.item.units)
        if not worker.ready:
            return worker.waiting_since + self._limits.start_deadline
        return float("inf")

    def _overdue(self, worker: Worker) -> None:
        item, pending = worker.item, worker.id in self._workers.pending
        if item is None:
            message = f"not ready {self._now - worker.waiting_since:.0f} s after its start"
        else:
            message = f"not done after {self._now - worker.started:.0f} s"
        self._stop(worker, message)
        if not pending:  # waiting for a node to appear is nobody's failure
            self._count_barren(worker, item, message)
        if item is not None:
            self._ledger.charge(item, message, self._now)

    def _stop(self, worker: Worker, reason: str) -> None:
        if worker.id in self._workers.workers:
            self._workers.dismiss(worker)
            self._actions.append(Stop(worker.id, reason))

    # Who does what.

    def _employ(self) -> None:
        """Give work to idle workers, let those without work take over a member or end, and start
        others."""
        for shape, idle in self._workers.idle.items():
            members = self._demand.of_shape(shape)
            able = self._workers.can_finish(shape)
            if (able and self._finish.waiting) or any(pool.waiting for pool in members):
                for worker in list(idle.values()):
                    item = self._finish.take() if able else None
                    item = item or worker.pool.take()
                    if item is not None:
                        self._run(worker, item)
            while idle and (pool := self._demand.neediest(members, self._now)) is not None:
                self._take_over(next(reversed(idle.values())), pool)
            while idle and self._demand.is_surplus(shape, self._now):
                self._stop(next(reversed(idle.values())), "no work is left for it")
        if self._workers.pending:
            for worker in list(self._workers.pending.values()):
                if not self._demand.work_for(worker.shape):
                    self._stop(worker, "no work is left for it")
        self._start_workers()

    def _run(self, worker: Worker, item: Item) -> None:
        self._workers.occupy(worker, item, self._now)
        item.attempts += 1
        self._tokens += 1
        attempt = Attempt(item.attempts, item.step, f"{self._fence}{self._tokens}")
        if item.pool is self._finish:
            members = self._ledger.members(item.video)
            self._actions.append(Finish(worker.id, item.video, members, attempt))
        else:
            self._actions.append(Run(worker.id, item.pool.spec.name, item.video, attempt))
        self._expect(self._due(worker))

    def _take_over(self, worker: Worker, pool: Pool) -> None:
        self._workers.move(worker, pool, self._now)
        self._actions.append(Load(worker.id, pool.spec.name))
        self._expect(self._due(worker))

    def _start_workers(self) -> None:
        while (pool := self._demand.to_start(self._now)) is not None:
            worker = self._workers.hire(pool, self._now)
            self._actions.append(Start(worker.id, pool.spec.name, worker.shape))
            self._expect(self._due(worker))
