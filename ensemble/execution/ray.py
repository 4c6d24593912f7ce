"""Execution on Ray: one actor per worker, in an embedded instance or on a given cluster.

The driver keeps all decisions: actors are never restarted or retried by Ray. Workers return
small records; no array enters Ray's object store.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import ray
from ray import cloudpickle
from ray import exceptions as ray_errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ensemble.execution.calls import CallResult, MemberHolder, describe
from ensemble.execution.executor import Job
from ensemble.execution.losses import how_lost, in_a_line
from ensemble.execution.prometheus import FINISHING, Metrics
from ensemble.scheduling.messages import (
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
    MemberSpec,
    Run,
    Shape,
    Start,
    Stop,
    WorkerLost,
    WorkerUp,
)
from stseg.cli import wait_passively
from stseg.errors import InputError
from stseg.failures import FailureKind
from stseg.files import Json
from stseg.ray_instance import embedded_ray, joined_ray, usable_cores

NODE_ANSWER = 60.0
"""Seconds that a node may take to say whether it can take the work."""
CAPACITY_INTERVAL = 5.0
"""Seconds between looks at which nodes the cluster has."""

Reply = tuple[int, str, "Future[Any]"]


class _Actor:
    """A worker's process. The job comes pickled, so that one that cannot be unpickled here is
    reported with its reason."""

    def __init__(self, pickled_job: bytes):
        wait_passively()  # of a cluster that was joined, the environment is not the command's
        self._pickled_job = pickled_job
        self._holder: MemberHolder | None = None

    def up(self) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def load(self, member: str) -> CallResult:
        if self._holder is None:
            try:
                self._holder = MemberHolder(cloudpickle.loads(self._pickled_job))
            except Exception as error:
                node = ray.util.get_node_ip_address()
                return CallResult(
                    0.0, FailureKind.INPUT, f"node {node} cannot take the work: {describe(error)}"
                )
        return self._holder.load(member) if member else CallResult(0.0, None)

    def run(self, video: str, attempt: Attempt) -> CallResult:
        return self._loaded_holder().run(video, attempt)

    def finish(self, video: str, members: tuple[str, ...]) -> CallResult:
        return self._loaded_holder().finish(video, members)

    def _loaded_holder(self) -> MemberHolder:
        if self._holder is None:
            raise RuntimeError("a worker that has loaded nothing was given work")
        return self._holder


def _check_node(pickled_job: bytes) -> str:
    """The reason why this node cannot take the work; empty if it can."""
    try:
        cloudpickle.loads(pickled_job).check()
    except Exception as error:
        return describe(error)
    return ""


class RayExecutor:
    """Workers on Ray.

    job       the work; every worker gets a copy
    address   of a cluster to join; without one, and with ``RAY_ADDRESS`` unset, an instance
              of this process's own is started and ends with it: one that happens to run on
              the machine is never joined. A Ray that this process has initialised before
              is used as it is and left running.
    num_cpus  cores of the own instance; None: all that this process may use
    wanted    of a cluster that grows: what to ask for in all, be it there yet or not. Workers
              are requested up to it, and an autoscaler sees them as demand.
    """

    def __init__(
        self,
        job: Job,
        address: str | None = None,
        num_cpus: int | None = None,
        wanted: Shape | None = None,
    ):
        self._pickled_job = cloudpickle.dumps(job)
        self._address = address or os.environ.get("RAY_ADDRESS") or None
        self._num_cpus = num_cpus
        self._wanted = wanted or Shape(0, 0, 0)
        self._actors: dict[int, Any] = {}
        self._answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._exit = contextlib.ExitStack()
        self._next_look = 0.0
        self._room: Shape | None = None

    def __enter__(self) -> RayExecutor:
        if not ray.is_initialized():
            if self._address is None:
                self._exit.enter_context(embedded_ray(self._num_cpus or usable_cores()))
            else:
                self._exit.enter_context(joined_ray(self._address))
        self._actor_class = ray.remote(max_restarts=0, max_task_retries=0)(_Actor)
        # Of a large data set it takes megabytes: they travel once per node, not per worker.
        self._job = ray.put(self._pickled_job)
        self._metrics = Metrics()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        self._exit.close()

    def now(self) -> float:
        return time.monotonic()

    def check(self, members: Sequence[MemberSpec]) -> None:
        """Compare every request with the nodes, because Ray itself would wait for ever without a
        word.

        On a cluster every node also says whether it can take the work.
        """
        nodes = [_room_of(node["Resources"]) for node in _alive_nodes()]
        nodes.append(self._wanted)
        for member in members:
            if not any(member.shape.fits(node) for node in nodes):
                raise InputError(
                    f"member '{member.name}' asks for {_words(member.shape)} per worker, but no"
                    f" node has that; the largest has {_words(max(nodes, key=_size))}: lower the"
                    " member's request, add such a node or, where the cluster grows by itself,"
                    " say how far (--set execution.gpus=16)"
                )
        if self._address is not None:
            self._ask_nodes()

    def _ask_nodes(self) -> None:
        ask = ray.remote(num_cpus=0, max_retries=0)(_check_node)
        answers = {}
        for node in _alive_nodes():
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            reference = ask.options(scheduling_strategy=there).remote(self._job)
            answers[reference] = node["NodeManagerAddress"]
        for reference, name in answers.items():
            try:
                sentence = ray.get(reference, timeout=NODE_ANSWER)
            except ray_errors.RayError:
                continue  # gone, or too busy to say: its workers will show
            if sentence:
                raise InputError(f"node {name} cannot take the work: {sentence}")

    def perform(self, action: Action) -> None:
        if isinstance(action, Start):
            self._start(action)
        elif isinstance(action, Stop):
            actor = self._actors.pop(action.worker, None)
            if actor is not None:
                self._metrics.ended(action.worker, "stopped")
                ray.kill(actor)
        elif isinstance(action, Load):
            self._ask(action.worker, "load", self._actors[action.worker].load, action.member)
        elif isinstance(action, Run):
            method = self._actors[action.worker].run
            self._metrics.began(action.worker, action.member)
            self._ask(action.worker, "work", method, action.video, action.attempt)
        elif isinstance(action, Finish):
            method = self._actors[action.worker].finish
            self._metrics.began(action.worker, FINISHING)
            self._ask(action.worker, "work", method, action.video, action.members)

    def _start(self, action: Start) -> None:
        shape = action.shape
        actor = self._actor_class.options(
            num_cpus=shape.cpus, num_gpus=shape.gpus, memory=shape.memory or None
        ).remote(self._job)
        self._actors[action.worker] = actor
        self._ask(action.worker, "up", actor.up)
        self._ask(action.worker, "load", actor.load, action.member)

    def _ask(self, worker: int, what: str, method: Any, *args: Any) -> None:
        future: Future[Any] = method.remote(*args).future()
        future.add_done_callback(lambda done: self._answers.put((worker, what, done)))

    def wait(self, timeout: float) -> list[Event]:
        events: list[Event] = list(self._look_at_nodes())
        try:
            answer = self._answers.get(timeout=0.0 if events else timeout)
            while True:
                events += self._understand(*answer)
                answer = self._answers.get_nowait()
        except queue.Empty:
            return events

    def _look_at_nodes(self) -> Iterator[Capacity]:
        now = self.now()
        if now >= self._next_look:
            self._next_look = now + CAPACITY_INTERVAL
            total: dict[str, float] = {}
            for node in _alive_nodes():
                for name, amount in node["Resources"].items():
                    total[name] = total.get(name, 0.0) + amount
            room = _at_least(_room_of(total), self._wanted)
            if room != self._room:
                self._room = room
                yield Capacity(now, room)

    def _understand(self, worker: int, what: str, done: Future[Any]) -> Iterator[Event]:
        """The event that a worker's answer means; none if the worker is gone already."""
        if worker not in self._actors:
            return
        now = self.now()
        error = done.exception()
        if error is not None:
            ray.kill(self._actors.pop(worker))
            loss = how_lost(error)
            self._metrics.ended(worker, f"lost: {loss}")
            yield WorkerLost(now, worker, loss, in_a_line(error))
        elif what == "up":
            node, pid = done.result()
            yield WorkerUp(now, worker, node, pid)
        else:
            result: CallResult = done.result()
            if what == "load" and result.failure is not None:
                yield LoadFailed(now, worker, result.failure, result.message)
            elif what == "load":
                yield Loaded(now, worker, result.seconds)
            elif result.failure is not None:
                self._metrics.ended(worker, result.failure)
                yield Failed(now, worker, result.failure, result.message)
            else:
                self._metrics.ended(worker, None, result.seconds)
                yield Done(now, worker, result.seconds, result.record or {})


def _alive_nodes() -> list[Json]:
    return [node for node in ray.nodes() if node["Alive"]]


def _room_of(resources: dict[str, float]) -> Shape:
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    return Shape(cpus, gpus, int(resources.get("memory", 0)))


def _at_least(room: Shape, wanted: Shape) -> Shape:
    return Shape(
        max(room.cpus, wanted.cpus), max(room.gpus, wanted.gpus), max(room.memory, wanted.memory)
    )


def _size(shape: Shape) -> tuple[float, float, int]:
    return shape.gpus, shape.cpus, shape.memory


def _words(shape: Shape) -> str:
    parts = [f"{shape.cpus:g} cores", f"{shape.gpus:g} GPUs"]
    if shape.memory:
        parts.append(f"{shape.memory / 2**30:.1f} GiB of memory")
    return ", ".join(parts)
