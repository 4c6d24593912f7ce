"""Which worker runs what, and what happens when it fails: events in, actions out.

Pure: no processes, no clock. `Scheduler.handle` takes what happened (see
`ensemble.events`), each event with its time, and returns what is to be done; the same
events give the same actions, so a run can be replayed and simulated.

Work is a queue of pairs (member, video) per member, longest first, one in flight per
worker. A worker holds one member; with nothing left to do it takes over the member of
the same shape with most work left, or is stopped. When every pair of a video is done or
given up the video is finished, on a worker without a GPU.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ensemble.blame import DeathLog
from ensemble.events import (
    FINISH,
    Abort,
    Action,
    Attempt,
    Capacity,
    Done,
    Event,
    Failed,
    Finish,
    GiveUp,
    Limits,
    Load,
    Loaded,
    LoadFailed,
    MemberSpec,
    Pair,
    Retry,
    Run,
    Shape,
    Start,
    Stop,
    StopMember,
    WorkerLost,
    WorkerUp,
)
from ensemble.pools import Item, Pool, Quarantine

SCAN_INTERVAL = 30.0
"""Deadlines follow the measured cost; they are looked at again at least so often (seconds)."""


@dataclass(eq=False)
class Worker:
    """A worker: requested, up (its process runs), then idle or busy with one item."""

    id: int
    pool: Pool
    shape: Shape
    requested: float
    waiting_since: float
    ready: bool = False
    item: Item | None = None
    started: float = 0.0
    completed: int = 0


@dataclass
class Video:
    """How many pairs of a video are open, and which members have a whole prediction."""

    open: int = 0
    units: float = 0.0
    members: list[str] = field(default_factory=list)


class Scheduler:
    """The state of one run.

    members   what can run, in the order in which `Finish` lists them
    pairs     what is to be done
    done      (member, video) that are whole already: they count for `Finish` only
    finish    what a worker needs to finish a video
    fence     prefix of the attempts' tokens; differs between drivers of one run
    """

    def __init__(
        self,
        members: Iterable[MemberSpec],
        pairs: Iterable[Pair],
        *,
        done: Iterable[tuple[str, str]] = (),
        finish: MemberSpec | None = None,
        limits: Limits | None = None,
        fence: str = "",
    ):
        self._limits = limits or Limits()
        self._fence = fence
        self._quarantine = Quarantine()
        self._pools = {s.name: Pool(s, self._limits, self._quarantine) for s in members}
        self._order = {name: index for index, name in enumerate(self._pools)}
        finish = finish or MemberSpec(FINISH, seconds_per_unit=1e-8)
        self._finish = Pool(finish, self._limits, self._quarantine)
        self._pools[FINISH] = self._finish
        self._videos: dict[str, Video] = {}
        self._workers: dict[int, Worker] = {}
        self._idle: dict[int, Worker] = {}
        self._pending: dict[int, Worker] = {}
        self._delayed: list[tuple[float, int, Item]] = []
        self._deaths = DeathLog(self._limits)
        self._capacity = Capacity(0.0, Shape(0, 0, 0))
        self._used = Shape(0, 0, 0)
        self._next_worker = self._next_token = 0
        self._next_scan = float("inf")
        self._actions: list[Action] = []
        self._enqueue(pairs, done)

    def _enqueue(self, pairs: Iterable[Pair], done: Iterable[tuple[str, str]]) -> None:
        self._sequence = 0
        for pair in pairs:
            pool = self._pools[pair.member]
            pool.add(Item(self._sequence, pool, pair.video, pair.units))
            self._sequence += 1
            video = self._videos.setdefault(pair.video, Video())
            video.open += 1
            video.units += pair.units
        for member, name in done:
            self._videos.setdefault(name, Video()).members.append(member)
        self.open = len(self._videos) + self._sequence
        for name, video in self._videos.items():
            if video.open == 0:
                self._close(name, video)

    # What the driver reads.

    @property
    def finished(self) -> bool:
        """Everything is done or given up."""
        return self.open == 0

    def wake_at(self) -> float:
        """When something is due even if nothing happens; infinity if nothing is."""
        times = [p.not_before for p in self._pools.values() if p.waiting]
        times = [self._next_scan, *(time for time in times if time > self._now)]
        return min(times + [entry[0] for entry in self._delayed[:1]])

    # Events.

    _now = 0.0

    def handle(self, *events: Event) -> list[Action]:
        """Take in what happened, in order, and say what is to be done."""
        for event in events:
            self._now = max(self._now, event.time)
            if isinstance(event, Capacity):
                self._capacity = event
            elif isinstance(event, (WorkerUp, Loaded, LoadFailed, Done, Failed, WorkerLost)):
                worker = self._workers.get(event.worker)
                if worker is not None:
                    self._take_in(worker, event)
        self._release_delayed()
        if self._now >= self._next_scan:
            self._scan_deadlines()
        self._employ()
        actions, self._actions = self._actions, []
        return actions

    def _take_in(self, worker: Worker, event: Event) -> None:
        if isinstance(event, WorkerUp):
            self._pending.pop(worker.id, None)
            worker.waiting_since = self._now
            self._expect(self._now + self._limits.start_deadline)
        elif isinstance(event, Loaded):
            self._pending.pop(worker.id, None)
            worker.pool.loading -= 1
            worker.pool.measure_load(event.seconds)
            worker.ready = True
            self._idle[worker.id] = worker
        elif isinstance(event, LoadFailed):
            self._stop(worker, "its member could not be loaded")
            if event.failure == "input":
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
        item = self._take_item(worker)
        worker.completed += 1
        pool = item.pool
        if pool.completed == 0:
            self._next_scan = self._now
        pool.measure(item.units, event.seconds)
        self._idle[worker.id] = worker
        self.open -= 1
        if pool is not self._finish:
            video = self._videos[item.video]
            video.members.append(pool.spec.name)
            video.open -= 1
            if video.open == 0:
                self._close(item.video, video)

    def _on_failed(self, worker: Worker, event: Failed) -> None:
        if event.failure == "broken":
            item = worker.item
            self._stop(worker, "an error left its process unusable")
            self._count_barren(worker, item, event.message)
            if item is not None:
                self._suspect(item, event.message)
            return
        item = self._take_item(worker)
        self._idle[worker.id] = worker
        if event.failure == "disk":
            self._actions.append(Abort(event.message))
        elif event.failure == "input":
            self._give_up(item, "input", event.message)
        elif event.failure == "memory":
            self._climb(item, event.message, 0.0)
        else:
            item.errors += 1
            if item.errors >= self._limits.errors:
                self._give_up(item, "error", event.message)
            else:
                self._retry(item, "error", event.message, self._backoff(item.errors))

    def _on_lost(self, worker: Worker, event: WorkerLost) -> None:
        item = worker.item
        self._forget(worker)
        self._count_barren(worker, item, event.message)
        pool = item.pool if item is not None else worker.pool
        self._deaths.add(self._now, item, (worker.ready and item is None) or pool.completed > 0)
        if item is None:
            return
        if event.loss == "died":
            self._suspect(item, event.message)
        elif event.loss == "memory":
            item.memory_kills += 1
            item.quarantined = True
            if item.memory_kills > 1:
                self._climb(item, event.message, self._backoff(item.memory_kills))
            else:
                self._retry(item, "memory", event.message, self._backoff(1))
        else:
            self._blame_nobody(item, event.message)

    # Items: judged, retried, given up.

    def _suspect(self, item: Item, message: str) -> None:
        """The worker died while running ``item``; `_judge` says later what it means."""
        item.died_at = self._now
        item.deaths += 1
        self._retry(item, "died", message, self._limits.settle)

    def _judge(self, item: Item) -> None:
        died_at, item.died_at = item.died_at, None
        if died_at is None:
            return
        item.quarantined |= item.deaths > 1
        if self._deaths.speaks_for(item, died_at):
            self._blame_nobody(item, item.message)
        else:
            self._charge(item, item.message)

    def _blame_nobody(self, item: Item, message: str) -> None:
        item.infrastructure += 1
        if item.infrastructure > self._limits.infrastructure:
            self._give_up(item, "infrastructure", message)
        else:
            self._retry(item, "infrastructure", message, self._backoff(item.infrastructure - 1))

    def _charge(self, item: Item, message: str) -> None:
        item.suspect += 1
        item.quarantined = True
        if item.suspect >= self._limits.suspect:
            self._give_up(item, "suspect", message)
        else:
            self._retry(item, "suspect", message, self._backoff(2 * item.suspect - 1))

    def _climb(self, item: Item, message: str, delay: float) -> None:
        item.step += 1
        if item.step > self._limits.ladder:
            self._give_up(item, "memory", message)
        else:
            self._retry(item, "memory", message, delay)

    def _backoff(self, count: int) -> float:
        if count <= 0:
            return 0.0
        return min(self._limits.backoff_cap, self._limits.backoff * 2.0 ** min(count - 1, 30))

    def _retry(self, item: Item, category: str, message: str, delay: float) -> None:
        if item.pool.stopped is not None:
            self._give_up(item, "member", item.pool.stopped)
            return
        item.message = message
        at = self._now + delay
        self._actions.append(Retry(item.pool.spec.name, item.video, category, message, at))
        if delay > 0:
            item.pool.delay(item)
            heapq.heappush(self._delayed, (at, item.sequence, item))
        else:
            item.pool.add(item)

    def _release_delayed(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._now:
            item = heapq.heappop(self._delayed)[2]
            if not item.delayed:
                continue
            item.pool.undelay(item)
            if item.died_at is not None:
                self._judge(item)
            else:
                item.pool.add(item)

    def _give_up(self, item: Item, category: str, message: str) -> None:
        self.open -= 1
        name = item.pool.spec.name
        self._actions.append(GiveUp(name, item.video, category, message, item.attempts))
        if item.pool is not self._finish:
            video = self._videos[item.video]
            video.open -= 1
            if video.open == 0:
                self._close(item.video, video)

    def _close(self, name: str, video: Video) -> None:
        """Every pair of the video is done or given up; one unit of `open` stands for finishing."""
        if not video.members:
            self.open -= 1
            self._actions.append(GiveUp(FINISH, name, "pairs", "no member could segment it", 0))
            return
        video.members.sort(key=lambda member: self._order.get(member, len(self._order)))
        item = Item(self._sequence, self._finish, name, video.units)
        self._sequence += 1
        if self._finish.stopped is not None:
            self._give_up(item, "member", self._finish.stopped)
        else:
            self._finish.add(item)

    def _stop_member(self, pool: Pool, message: str) -> None:
        """The breaker: nothing of this member is tried any more."""
        if pool.stopped is not None:
            return
        pool.stopped = message
        self._actions.append(StopMember(pool.spec.name, message))
        for worker in list(self._workers.values()):
            if worker.pool is pool and not worker.ready:
                self._stop(worker, "its member was given up")
        for item in pool.drain():
            self._give_up(item, "member", message)
        for _, _, item in self._delayed:
            if item.pool is pool and item.delayed:
                pool.undelay(item)
                self._give_up(item, "member", message)

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
        pool.not_before = self._now + self._backoff(pool.barren)
        if pool.barren >= self._limits.barren * (2 if pool.completed else 1):
            self._stop_member(pool, f"its workers only die: {message}")

    # Workers.

    def _take_item(self, worker: Worker) -> Item:
        item = worker.item
        if item is None:
            raise RuntimeError(f"worker {worker.id} reports on an item that it was not given")
        worker.item = None
        item.pool.leave(item)
        return item

    def _forget(self, worker: Worker) -> None:
        if worker.item is not None:
            self._take_item(worker)
        del self._workers[worker.id]
        self._quarantine.workers -= 1
        self._idle.pop(worker.id, None)
        self._pending.pop(worker.id, None)
        worker.pool.workers -= 1
        if not worker.ready:
            worker.pool.loading -= 1
        self._used = _minus(self._used, worker.shape)

    def _stop(self, worker: Worker, reason: str) -> None:
        if worker.id in self._workers:
            self._forget(worker)
            self._actions.append(Stop(worker.id, reason))

    def _expect(self, time: float) -> None:
        self._next_scan = min(self._next_scan, time)

    def _scan_deadlines(self) -> None:
        earliest = float("inf")
        for worker in list(self._workers.values()):
            item = worker.item
            if item is not None:
                due = worker.started + item.pool.deadline(item.units)
            elif not worker.ready:
                due = worker.waiting_since + self._limits.start_deadline
            else:
                continue
            if due > self._now:
                earliest = min(earliest, due)
                continue
            if item is None:
                message = f"not ready {self._now - worker.waiting_since:.0f} s after its start"
            else:
                message = f"not done after {self._now - worker.started:.0f} s"
            pending = worker.id in self._pending
            self._stop(worker, message)
            if not pending:  # waiting for a node to appear is nobody's failure
                self._count_barren(worker, item, message)
            if item is not None:
                self._charge(item, message)
        self._next_scan = min(earliest, self._now + SCAN_INTERVAL)
        if not self._workers:
            self._next_scan = float("inf")

    def _employ(self) -> None:
        for worker in list(self._idle.values()):
            self._give_work(worker)
        for worker in list(self._pending.values()):
            if not self._work_for(worker.shape):
                self._stop(worker, "no work is left for it")
        self._start_workers()

    def _give_work(self, worker: Worker) -> None:
        item = self._finish.take() if self._can_finish(worker.shape) else None
        item = item or worker.pool.take()
        if item is not None:
            self._run(worker, item)
            return
        same = [p for p in self._member_pools() if p.spec.shape == worker.shape]
        neediest = self._neediest(same)
        if neediest is not None:
            del self._idle[worker.id]
            worker.pool.workers -= 1
            worker.pool = neediest
            worker.pool.workers += 1
            worker.pool.loading += 1
            worker.ready = False
            worker.waiting_since = self._now
            self._expect(self._now + self._limits.start_deadline)
            self._actions.append(Load(worker.id, neediest.spec.name))
        elif self._is_surplus(worker):
            self._stop(worker, "no work is left for it")

    def _run(self, worker: Worker, item: Item) -> None:
        del self._idle[worker.id]
        worker.item = item
        worker.started = self._now
        item.attempts += 1
        self._next_token += 1
        token = f"{self._fence}{self._next_token}"
        attempt = Attempt(item.attempts, item.step, token)
        if item.pool is self._finish:
            members = tuple(self._videos[item.video].members)
            self._actions.append(Finish(worker.id, item.video, members, attempt))
        else:
            self._actions.append(Run(worker.id, item.pool.spec.name, item.video, attempt))
        self._expect(self._now + item.pool.deadline(item.units))

    def _member_pools(self) -> Iterator[Pool]:
        return (pool for pool in self._pools.values() if pool is not self._finish)

    def _can_finish(self, shape: Shape) -> bool:
        return shape.gpus == 0 and self._finish.spec.shape.fits(shape)

    def _neediest(self, pools: Iterable[Pool]) -> Pool | None:
        """The pool with most work per worker, among those that a further worker would help."""
        wanting = [pool for pool in pools if pool.wants_worker(self._now)]
        return max(wanting, key=Pool.need, default=None)

    def _work_for(self, shape: Shape) -> bool:
        """Whether anything is queued, or will be, for workers of this shape."""
        if any(p.queued and p.spec.shape == shape for p in self._pools.values()):
            return True
        return self._can_finish(shape) and self._unfinished() > 0

    def _unfinished(self) -> int:
        """Videos of which finishing is neither running nor done."""
        pairs = sum(p.queued + p.running for p in self._member_pools())
        return self.open - pairs - self._finish.running

    def _is_surplus(self, worker: Worker) -> bool:
        """Whether an idle worker should make room."""
        for pool in self._pools.values():
            if pool.spec.shape != worker.shape and pool.wants_worker(self._now):
                return not self._has_room(pool.spec.shape)
        if any(p.queued and p.spec.shape == worker.shape for p in self._member_pools()):
            return False
        if self._can_finish(worker.shape):
            return len(self._idle) > self._unfinished()
        return True

    def _has_room(self, shape: Shape) -> bool:
        """Whether a worker of this shape can be started; a core is kept for finishing videos
        where no worker could do it."""
        bound = self._capacity.workers
        if bound is not None and len(self._workers) >= bound:
            return False
        free = _minus(self._capacity.room, self._used)
        able = any(self._can_finish(w.shape) for w in self._workers.values())
        if self._workers and not able and not self._can_finish(shape):
            free = _minus(free, self._finish.spec.shape)
        return shape.fits(free)

    def _start_workers(self) -> None:
        while True:
            fitting = (p for p in self._pools.values() if self._has_room(p.spec.shape))
            pool = self._neediest(fitting)
            if pool is None:
                return
            self._next_worker += 1
            worker = Worker(self._next_worker, pool, pool.spec.shape, self._now, self._now)
            self._workers[worker.id] = self._pending[worker.id] = worker
            self._quarantine.workers += 1
            pool.workers += 1
            pool.loading += 1
            self._used = _plus(self._used, worker.shape)
            self._actions.append(Start(worker.id, pool.spec.name, worker.shape))
            self._expect(self._now + self._limits.start_deadline)


def _plus(a: Shape, b: Shape) -> Shape:
    return Shape(a.cpus + b.cpus, a.gpus + b.gpus, a.memory + b.memory)


def _minus(a: Shape, b: Shape) -> Shape:
    return Shape(a.cpus - b.cpus, a.gpus - b.gpus, a.memory - b.memory)
