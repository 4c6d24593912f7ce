"""The words between the scheduler and whoever executes: specifications, events, actions.

All of them are small frozen dataclasses of plain values, so that a run's events and
actions can be written as JSON lines and replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

FINISH = ""
"""The pool that finishes videos, in the place of a member's name."""

Failure = Literal["input", "error", "broken", "memory", "disk"]
"""What a job reports: bad input (not tried again), an exception, an exception after which
its process is of no use, too little memory, a disk that cannot be written (ends the run)."""

Loss = Literal["died", "node", "memory"]
"""How a worker was lost: its process died, its node or connection is gone, it was killed
because the node ran out of memory."""


@dataclass(frozen=True)
class Shape:
    """What one worker holds while it lives."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0

    def fits(self, room: Shape) -> bool:
        return self.cpus <= room.cpus and self.gpus <= room.gpus and self.memory <= room.memory


@dataclass(frozen=True)
class MemberSpec:
    """A member as the scheduler sees it.

    max_workers        at most so many at a time; None: as many as there is room for
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
    """What a job is told about the try it makes.

    number   from 1
    step     of the out-of-memory ladder: 0 is the member as configured, each further step
             needs less memory
    token    differs between any two attempts of all drivers of a run (fencing)
    """

    number: int = 1
    step: int = 0
    token: str = ""


@dataclass(frozen=True)
class Limits:
    """Budgets and times; seconds where nothing else is said.

    Separate budgets, because blame differs: `infrastructure` failures are nobody's fault
    and many are bearable, a `suspect` item's worker died while nothing else went wrong,
    `errors` are exceptions that the item raised itself.
    """

    infrastructure: int = 20
    suspect: int = 3
    errors: int = 2
    ladder: int = 3
    barren: int = 7
    """Rounds in which a member's workers die or fail to start without completing a pair."""
    backoff: float = 1.0
    backoff_cap: float = 60.0
    settle: float = 1.0
    """A death is judged this long after it: by then it is known who else died."""
    blame_window: float = 5.0
    """Deaths of others so long before count as evidence that the item is not to blame."""
    deadline_factor: float = 20.0
    """A pair may take so many times what its measured cost says."""
    deadline_floor: float = 120.0
    first_deadline: float = 3600.0
    """For a member of which no pair has been measured yet."""
    start_deadline: float = 1800.0
    """From the start of a worker's process to its readiness."""


# Events: what happened, at `time` (seconds, any origin, never decreasing).


@dataclass(frozen=True)
class Capacity:
    """What there is to run on. ``workers`` bounds their number, None does not."""

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
    """The member could not be loaded; ``failure`` "input" says that it never can."""

    time: float
    worker: int
    failure: Failure
    message: str


@dataclass(frozen=True)
class Done:
    """The worker's pair or finish is whole; it took ``seconds``."""

    time: float
    worker: int
    seconds: float
    record: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """The worker's pair or finish failed; the worker itself lives (but see "broken")."""

    time: float
    worker: int
    failure: Failure
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
    """Nothing happened but time."""

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
    """To be known: the item will be tried again, not before ``at``."""

    member: str
    video: str
    category: str
    message: str
    at: float


@dataclass(frozen=True)
class GiveUp:
    """To be known: the item is not tried again. ``member`` is `FINISH` for the video itself."""

    member: str
    video: str
    category: str
    message: str
    attempts: int


@dataclass(frozen=True)
class StopMember:
    """To be known: the breaker took the member out."""

    member: str
    message: str


@dataclass(frozen=True)
class Abort:
    """The run cannot go on."""

    message: str


Action = Start | Load | Run | Finish | Stop | Retry | GiveUp | StopMember | Abort

_BY_NAME: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), *get_args(Action))}


def to_json(message: Event | Action) -> dict[str, Any]:
    """A JSON-able form: ``{"event": class name, field: value, ...}``."""
    data: dict[str, Any] = {"event": type(message).__name__, **vars(message)}
    for name in ("room", "shape", "attempt"):
        if name in data:
            data[name] = dict(vars(data[name]))
    return data


def from_json(data: dict[str, Any]) -> Event | Action:
    """The inverse of `to_json`; other keys than the class's own are ignored."""
    kind = _BY_NAME[data["event"]]
    values = {field.name: data[field.name] for field in fields(kind)}
    if "attempt" in values:
        values["attempt"] = Attempt(**values["attempt"])
    for name in ("room", "shape"):
        if name in values:
            values[name] = Shape(**values[name])
    if "members" in values:
        values["members"] = tuple(values["members"])
    return kind(**values)
