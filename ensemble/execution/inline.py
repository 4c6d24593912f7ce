"""Runs everything in this process, one thing at a time: for debugging, and where Ray cannot run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from ensemble.execution.calls import CallResult, MemberHolder
from ensemble.execution.executor import Job
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
    MemberSpec,
    Run,
    Shape,
    Start,
    WorkerUp,
)

EVERYTHING = Shape(float("inf"), float("inf"), 1 << 62)


class InlineExecutor:
    """One worker at a time, which is this process. Deadlines cannot be enforced here."""

    def __init__(self, job: Job):
        self._holder = MemberHolder(job)
        self._todo: deque[Callable[[], list[Event]]] = deque()

    def __enter__(self) -> InlineExecutor:
        self._todo.append(lambda: [Capacity(self.now(), EVERYTHING, workers=1)])
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._todo.clear()

    def check(self, members: Sequence[MemberSpec]) -> None:
        """Every member fits: nothing is reserved in one's own process."""

    def now(self) -> float:
        return time.monotonic()

    def perform(self, action: Action) -> None:
        if isinstance(action, (Start, Load)):
            self._todo.append(lambda: self._load(action))
        elif isinstance(action, (Run, Finish)):
            self._todo.append(lambda: [self._work(action)])

    def wait(self, timeout: float) -> list[Event]:
        if not self._todo:
            time.sleep(max(0.0, timeout))
            return []
        return self._todo.popleft()()

    def _load(self, action: Start | Load) -> list[Event]:
        up: list[Event] = [WorkerUp(self.now(), action.worker)] if isinstance(action, Start) else []
        result = self._holder.load(action.member) if action.member else CallResult(0.0, None)
        if result.failure is not None:
            return [*up, LoadFailed(self.now(), action.worker, result.failure, result.message)]
        return [*up, Loaded(self.now(), action.worker, result.seconds)]

    def _work(self, action: Run | Finish) -> Event:
        if isinstance(action, Run):
            result = self._holder.run(action.video, action.attempt)
        else:
            result = self._holder.finish(action.video, action.members)
        if result.failure is not None:
            return Failed(self.now(), action.worker, result.failure, result.message)
        return Done(self.now(), action.worker, result.seconds, result.record or {})
