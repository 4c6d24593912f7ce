"""Simulated workers, nodes and time: for tests and for planning large runs."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ensemble.scheduling.messages import (
    Action,
    Capacity,
    Done,
    Event,
    Failed,
    Finish,
    Load,
    Loaded,
    LoadFailed,
    Loss,
    MemberSpec,
    Run,
    Shape,
    Start,
    Stop,
    WorkerLost,
    WorkerUp,
)
from stseg.failures import FailureKind


@dataclass(frozen=True)
class Fate:
    """How a start, a load or an item ends: it is done after ``seconds``, unless a failure or loss
    is named; infinite seconds stand for one that hangs."""

    seconds: float
    failure: FailureKind | None = None
    loss: Loss | None = None


@dataclass(frozen=True)
class Blow:
    """Something from outside, at ``time``.

    "workers": the workers with these numbers (modulo how many there are) die; all, if none
    is given. "node": the node with the first number goes, and comes back after ``seconds``.
    """

    time: float
    kind: Literal["workers", "node"]
    numbers: tuple[int, ...] = ()
    seconds: float = float("inf")


@dataclass
class _Node:
    room: Shape
    used: Shape = field(default_factory=lambda: Shape(0, 0, 0))
    alive: bool = True

    def take(self, shape: Shape, sign: int) -> None:
        cpus, gpus = self.used.cpus + sign * shape.cpus, self.used.gpus + sign * shape.gpus
        self.used = Shape(cpus, gpus, self.used.memory + sign * shape.memory)

    @property
    def free(self) -> Shape:
        room, used = self.room, self.used
        return Shape(room.cpus - used.cpus, room.gpus - used.gpus, room.memory - used.memory)


class SimulatedExecutor:
    """An executor whose clock jumps from event to event.

    nodes   what each node has
    fate    how a `Start` (of the process), `Load`, `Run` or `Finish` goes; it is asked once
            for each, with the action and the time. A `Start` is followed by a `Load`.
    blows   what happens from outside
    """

    def __init__(
        self,
        nodes: Sequence[Shape],
        fate: Callable[[Action, float], Fate],
        blows: Iterable[Blow] = (),
    ):
        self._nodes = [_Node(room) for room in nodes]
        self._fate = fate
        self._now = 0.0
        self._heap: list[tuple[float, int, Callable[[], list[Event]]]] = []
        self._count = itertools.count()
        self._placed: dict[int, tuple[_Node, Shape]] = {}
        self._pending: dict[int, Start] = {}
        self._begun: dict[int, float] = {}
        self.cut_seconds = 0.0
        """What workers had spent on pairs when they were lost with their nodes."""
        for blow in blows:
            self._at(blow.time, lambda blow=blow: self._strike(blow))  # type: ignore[misc]

    def __enter__(self) -> SimulatedExecutor:
        self._at(0.0, lambda: [self._capacity()])
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._heap.clear()

    def check(self, members: Sequence[MemberSpec]) -> None:
        """Checks nothing: a simulation may well have members that do not fit."""

    def now(self) -> float:
        return self._now

    def wait(self, timeout: float) -> list[Event]:
        limit = self._now + timeout
        events: list[Event] = []
        while not events and self._heap and self._heap[0][0] <= limit:
            self._now = self._heap[0][0]
            while self._heap and self._heap[0][0] <= self._now:
                events += heapq.heappop(self._heap)[2]()
        if not events:
            self._now = limit
        return events

    def perform(self, action: Action) -> None:
        if isinstance(action, Start):
            self._pending[action.worker] = action
            self._place()
        elif isinstance(action, Stop):
            self._remove(action.worker)
            self._place()
        elif isinstance(action, (Load, Run, Finish)):
            self._begin(action)

    def _at(self, time: float, happen: Callable[[], list[Event]]) -> None:
        heapq.heappush(self._heap, (time, next(self._count), happen))

    def _capacity(self) -> Capacity:
        rooms = [node.room for node in self._nodes if node.alive]
        total = Shape(
            sum(r.cpus for r in rooms), sum(r.gpus for r in rooms), sum(r.memory for r in rooms)
        )
        return Capacity(self._now, total)

    def _place(self) -> None:
        for worker, start in list(self._pending.items()):
            fitting = (n for n in self._nodes if n.alive and start.shape.fits(n.free))
            node = next(fitting, None)
            if node is not None:
                del self._pending[worker]
                node.take(start.shape, 1)
                self._placed[worker] = (node, start.shape)
                self._begin(start)

    def _remove(self, worker: int) -> None:
        self._pending.pop(worker, None)
        self._begun.pop(worker, None)
        if worker in self._placed:
            node, shape = self._placed.pop(worker)
            node.take(shape, -1)

    def _begin(self, action: Start | Load | Run | Finish) -> None:
        fate = self._fate(action, self._now)
        if isinstance(action, Run):
            self._begun[action.worker] = self._now
        if fate.seconds != float("inf"):
            self._at(self._now + fate.seconds, lambda: self._end(action, fate))

    def _end(self, action: Start | Load | Run | Finish, fate: Fate) -> list[Event]:
        worker = action.worker
        if worker not in self._placed:
            return []
        if fate.loss is None:
            self._begun.pop(worker, None)
        if fate.loss is not None:
            return self._lose(worker, fate.loss)
        if isinstance(action, Start):
            self._begin(Load(worker, action.member))
            return [WorkerUp(self._now, worker)]
        if isinstance(action, Load):
            if fate.failure is not None:
                return [LoadFailed(self._now, worker, fate.failure, "simulated")]
            return [Loaded(self._now, worker, fate.seconds)]
        if fate.failure is not None:
            return [Failed(self._now, worker, fate.failure, "simulated")]
        return [Done(self._now, worker, fate.seconds, {})]

    def _lose(self, worker: int, loss: Loss) -> list[Event]:
        if loss == "node":
            self.cut_seconds += self._now - self._begun.get(worker, self._now)
        self._remove(worker)
        self._place()
        return [WorkerLost(self._now, worker, loss, "simulated")]

    def _strike(self, blow: Blow) -> list[Event]:
        if blow.kind == "workers":
            alive = list(self._placed)
            hit = {alive[n % len(alive)] for n in blow.numbers if alive} or set(alive)
            return [event for worker in sorted(hit) for event in self._lose(worker, "died")]
        node = self._nodes[blow.numbers[0] % len(self._nodes)]
        if not node.alive:
            return []
        node.alive = False
        self._at(self._now + blow.seconds, lambda: self._revive(node))
        on_it = [worker for worker, (place, _) in self._placed.items() if place is node]
        lost = [event for worker in on_it for event in self._lose(worker, "node")]
        return [self._capacity(), *lost]

    def _revive(self, node: _Node) -> list[Event]:
        node.alive = True
        self._place()
        return [self._capacity()]
