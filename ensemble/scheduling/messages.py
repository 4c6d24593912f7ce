"""The messages between the scheduler and the executors: specifications, events, actions.

All of them are small frozen dataclasses of plain values, so that a run's events and
actions can be written as JSON lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ensemble.scheduling.limits import RunLimits
from stseg.failures import FailureKind
from stseg.files import Json

FINISH = ""
"""The pool that finishes videos, in the place of a member's name."""

JobRecord: TypeAlias = Json
"""What a job says of a pair or video that it completed: few values, all JSON-able."""

Loss = Literal["died", "node", "memory"]
"""How a worker was lost: its process died, its node or connection is gone, it was killed
because the node ran out of memory."""


@dataclass(frozen=True)
class Shape:
    """The resources that one worker holds while it lives."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0

    def fits(self, room: Shape) -> bool:
        return self.cpus <= room.cpus and self.gpus <= room.gpus and self.memory <= room.memory


@dataclass(frozen=True)
class MemberSpec:
    """A member as the scheduler sees it.

    max_workers        the largest number at a time; None: as many as there is room for
    seconds_per_unit   expected cost before any pair has been measured (unit: a pair's cost unit)
    """

    name: str
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory: int | None = None
    max_workers: int | None = None
    seconds_per_unit: float = 1e-7

    @property
    def shape(self) -> Shape:
        return Shape(self.num_cpus, self.num_gpus, self.memory or 0)


@dataclass(frozen=True)
class Pair:
    """One (member, video) to run; ``units`` is frames x objects x pixels."""

    member: str
    video: str
    units: float


@dataclass(frozen=True)
class Attempt:
    """What a job is told about its attempt.

    number   from 1
    step     of the out-of-memory ladder: 0 is the member as configured, each further step
             needs less memory
    token    differs between any two attempts of all drivers of a run (fencing)
    """

    number: int = 1
    step: int = 0
    token: str = ""


@dataclass(frozen=True)
class Workload:
    """What a run is to do, and with what.

    members   can run, in the order in which `Finish` lists them
    pairs     are to be done
    done      are the (member, video) that are complete already; videos that have only such pairs
              are finished, too
    finish    is what a worker needs to finish a video (its name is `FINISH`)
    limits    are the budgets and deadlines
    fence     is the prefix of the attempts' tokens; it differs between drivers of one run
    """

    members: Sequence[MemberSpec]
    pairs: Sequence[Pair]
    done: Sequence[tuple[str, str]] = ()
    finish: MemberSpec = MemberSpec(FINISH, seconds_per_unit=1e-8)
    limits: RunLimits = field(default_factory=RunLimits)
    fence: str = ""


# Events: what happened, at `time` (seconds, any origin, never decreasing).


@dataclass(frozen=True)
class Capacity:
    """The resources to run on. ``workers`` limits the number of workers; None does not."""

    time: float
    room: Shape
    workers: int | None = None


@dataclass(frozen=True)
class WorkerUp:
    """The worker's process runs (on ``node``) and begins to load its member."""

    time: float
    worker: int
    node: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Loaded:
    """The worker holds its member and waits for work; loading took ``seconds``."""

    time: float
    worker: int
    seconds: float = 0.0


@dataclass(frozen=True)
class LoadFailed:
    """The member could not be loaded; `FailureKind.INPUT` says that it never can."""

    time: float
    worker: int
    failure: FailureKind
    message: str


@dataclass(frozen=True)
class Done:
    """The worker's pair or finish is complete; it took ``seconds``."""

    time: float
    worker: int
    seconds: float
    record: JobRecord


@dataclass(frozen=True)
class Failed:
    """The worker's pair or finish failed; the worker itself lives (see `FailureKind.BROKEN`)."""

    time: float
    worker: int
    failure: FailureKind
    message: str


@dataclass(frozen=True)
class WorkerLost:
    """The worker is gone."""

    time: float
    worker: int
    loss: Loss
    message: str = ""


@dataclass(frozen=True)
class Tick:
    """Only time has passed."""

    time: float


Event = Capacity | WorkerUp | Loaded | LoadFailed | Done | Failed | WorkerLost | Tick


# Actions: what is to be done.


@dataclass(frozen=True)
class Start:
    """Start a worker and load ``member`` (`FINISH`: nothing to load)."""

    worker: int
    member: str
    shape: Shape


@dataclass(frozen=True)
class Load:
    """An idle worker takes over another member of the same shape."""

    worker: int
    member: str


@dataclass(frozen=True)
class Run:
    worker: int
    member: str
    video: str
    attempt: Attempt


@dataclass(frozen=True)
class Finish:
    """Finish ``video`` from the predictions of ``members``."""

    worker: int
    video: str
    members: tuple[str, ...]
    attempt: Attempt


@dataclass(frozen=True)
class Stop:
    """End a worker, whatever it does."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Retry:
    """For the log: the item will be tried again, not before ``at``."""

    member: str
    video: str
    category: FailureKind
    message: str
    at: float


@dataclass(frozen=True)
class GiveUp:
    """For the log: the item is given up. ``member`` is `FINISH` for the video itself."""

    member: str
    video: str
    category: FailureKind
    message: str
    attempts: int


@dataclass(frozen=True)
class StopMember:
    """For the log: the breaker stopped the member."""

    member: str
    message: str


@dataclass(frozen=True)
class Abort:
    """The run cannot go on."""

    message: str


Action = Start | Load | Run | Finish | Stop | Retry | GiveUp | StopMember | Abort


@dataclass(frozen=True)
class LogEntry:
    """An event or an action, as the listeners of a run get it.

    message          is what happened, or what was decided
    decided          is when an action was decided; an event has a time of its own
    member, video    say what a `Done` completed (``member`` is `FINISH` for a video)
    """

    message: Event | Action
    decided: float | None = None
    member: str | None = None
    video: str | None = None

    @property
    def name(self) -> str:
        """The kind of the message: the name of its class."""
        return type(self.message).__name__

    def json(self) -> JobRecord:
        """A line of ``events.jsonl``: ``{"event": class name, field: value, ...}``."""
        stored: JobRecord = {"event": self.name, **vars(self.message)}
        for nested in ("room", "shape", "attempt"):
            if nested in stored:
                stored[nested] = dict(vars(stored[nested]))
        own = {"time": self.decided, "member": self.member, "video": self.video}
        return {**stored, **{name: value for name, value in own.items() if value is not None}}
