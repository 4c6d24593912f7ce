"""The loop between scheduler and executor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ensemble.execution.executor import Executor
from ensemble.scheduling.messages import (
    FINISH,
    Abort,
    Action,
    Done,
    Finish,
    GiveUp,
    JobRecord,
    LogEntry,
    Retry,
    Run,
    Stop,
    StopMember,
    Tick,
    Workload,
)
from ensemble.scheduling.scheduler import Scheduler
from stseg.errors import InputError
from stseg.failures import FailureKind

LONGEST_WAIT = 1.0
"""Seconds after which Python gets to handle a signal, at the latest."""


@dataclass
class RunOutcome:
    """The outcome of a run.

    done       (member, video) -> the record of its job, for the pairs done in this run
    given_up   the pairs that were given up, in order
    finished   video -> the record of finishing it
    unfinished the videos that could not be finished (their ``member`` is `FINISH`)
    stopped    member -> why its breaker opened
    counts     how often each kind of event and action occurred
    """

    done: dict[tuple[str, str], JobRecord] = field(default_factory=dict)
    given_up: list[GiveUp] = field(default_factory=list)
    finished: dict[str, JobRecord] = field(default_factory=dict)
    unfinished: list[GiveUp] = field(default_factory=list)
    stopped: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def whole(self) -> bool:
        """Whether nothing was given up."""
        return not (self.given_up or self.unfinished or self.stopped)

    def lost_to(self, step: str) -> list[GiveUp]:
        """What a later step over finished videos gave up, in its name. Of a video whose pairs all
        failed, that alone is said."""
        return [
            replace(item, message=f"{step}: {item.message}")
            for item in (*self.given_up, *self.unfinished)
            if item.category is not FailureKind.PAIRS
        ]


def run_pairs(
    executor: Executor,
    work: Workload,
    on_event: Callable[[LogEntry], None] | None = None,
) -> RunOutcome:
    """Run all pairs and finish their videos; returns when everything is done or given up.

    ``on_event`` gets every event and action, in order.

    Raises `InputError` at once for a member that no worker can hold, and when the disk
    can no longer be written.
    """
    scheduler = Scheduler(work)
    outcome = RunOutcome()
    running: dict[int, Run | Finish] = {}

    def tell(entry: LogEntry) -> None:
        outcome.counts[entry.name] += 1
        if on_event is not None:
            on_event(entry)

    with executor:
        executor.check(work.members)
        while not scheduler.finished:
            timeout = scheduler.wake_at() - executor.now()
            events = executor.wait(min(max(0.0, timeout), LONGEST_WAIT))
            now = executor.now()  # before listeners take time: deadlines are of what is known
            for event in events:
                if isinstance(event, Done) and event.worker in running:
                    tell(_settle(outcome, running.pop(event.worker), event))
                else:
                    tell(LogEntry(event))
            for action in scheduler.handle(*events, Tick(now)):
                tell(LogEntry(action, decided=now))
                if isinstance(action, (Run, Finish)):
                    running[action.worker] = action
                elif isinstance(action, Stop):
                    running.pop(action.worker, None)
                _note(outcome, action)
                executor.perform(action)
    return outcome


def _settle(outcome: RunOutcome, action: Run | Finish, event: Done) -> LogEntry:
    if isinstance(action, Finish):
        outcome.finished[action.video] = event.record
        return LogEntry(event, member=FINISH, video=action.video)
    outcome.done[action.member, action.video] = event.record
    return LogEntry(event, member=action.member, video=action.video)


def _note(outcome: RunOutcome, action: Action) -> None:
    if isinstance(action, Abort):
        raise InputError(action.message)
    if isinstance(action, GiveUp):
        (outcome.unfinished if action.member == FINISH else outcome.given_up).append(action)
    elif isinstance(action, StopMember):
        outcome.stopped[action.member] = action.message
    elif isinstance(action, Retry):
        outcome.counts[f"Retry {action.category}"] += 1
