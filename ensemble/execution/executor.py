"""The executors, behind one interface: they carry out what the scheduler decides.

`InlineExecutor` does everything in this process, one thing at a time. `RayExecutor` uses the
workers of a Ray cluster; only its module, `ensemble.execution.ray`, and those that it imports
import Ray. Neither knows anything about models: the work is given as a `Job`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ensemble.scheduling.messages import Action, Attempt, Event, JobRecord, MemberSpec


class JobWorker(Protocol):
    """A member, loaded: runs one video after the other."""

    def run(self, video: str, attempt: Attempt) -> JobRecord:
        """Segment ``video``, store the prediction, return a small JSON-able record.

        `mose.InputError` is not tried again, an out-of-memory error is tried again one step
        down the ladder (``attempt.step``), other exceptions within their budget.
        """


class Job(Protocol):
    """The work of a run. Picklable and small: every worker gets a copy of its own."""

    def check(self) -> None:
        """Raise `mose.InputError` if this process cannot take part, because files that it needs are
        not there. Asked once on every node of a cluster, before anything runs."""

    def start(self, member: str) -> JobWorker:
        """Load a member; `mose.InputError` says that it can never work."""

    def finish(self, video: str, members: tuple[str, ...]) -> JobRecord:
        """Finish a video from the predictions of ``members``; returns a small record."""


class Executor(Protocol):
    """Performs actions and reports events. Used as a context manager: leaving it leaves no
    process behind, whatever the workers are doing."""

    def __enter__(self) -> Executor: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def check(self, members: Sequence[MemberSpec]) -> None:
        """Raise `InputError` for a member that no worker can ever hold."""

    def now(self) -> float:
        """The clock of this executor's events, seconds."""

    def perform(self, action: Action) -> None:
        """Begin an action; its result is reported as an event."""

    def wait(self, timeout: float) -> list[Event]:
        """The events since the last call; waits for the first one for at most ``timeout``."""


def make_executor(name: str, job: Job, address: str | None = None, **options: Any) -> Executor:
    """The executor ``name`` ("ray" or "inline"); imports Ray only for the former."""
    factory: Callable[..., Executor]
    if name == "inline":
        from ensemble.execution.inline import InlineExecutor

        return InlineExecutor(job)
    from ensemble.execution.ray import RayExecutor

    factory = RayExecutor
    return factory(job, address=address, **options)
