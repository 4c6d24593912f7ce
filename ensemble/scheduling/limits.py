"""How often and how long a run tries: its budgets and deadlines, ``execution.limits``."""

from __future__ import annotations

from dataclasses import dataclass, fields

from stseg.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Budgets and times; seconds where nothing else is said.

    Budgets are separate, because blame differs: ``infrastructure`` failures are nobody's fault
    and many are bearable, a ``suspect`` pair's worker died while nothing else went wrong,
    ``errors`` are exceptions that the pair raised itself.

    infrastructure    how often a pair may lose its worker through no fault of its own
    suspect           so many lost workers, or overrun deadlines, of its own end a pair
    errors            so many exceptions end a pair
    ladder            steps to lighter settings when memory is short
    barren            so many rounds in which its workers die or fail to start, and complete
                      nothing, stop a member; twice as many once it has completed a pair
    backoff           wait before the second attempt; it doubles with every failure
    backoff_cap       wait at most
    settle            a death is judged this long after it: by then it is known who else died
    blame_window      deaths of others so long before count as evidence that a pair is not to blame
    deadline_factor   a pair may take so many times what its measured cost says
    deadline_floor    and at least so long
    first_deadline    for a member of which no pair has been measured yet
    start_deadline    from the start of a worker's process to its readiness
    """

    infrastructure: int = 20
    suspect: int = 3
    errors: int = 2
    ladder: int = 3
    barren: int = 7
    backoff: float = 1.0
    backoff_cap: float = 60.0
    settle: float = 1.0
    blame_window: float = 5.0
    deadline_factor: float = 20.0
    deadline_floor: float = 120.0
    first_deadline: float = 3600.0
    start_deadline: float = 1800.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), LEAST.get(field.name, 0)
            if not value >= least:
                raise InputError(f"execution.limits.{field.name} is {value}: give at least {least}")


LEAST = {"suspect": 1, "errors": 1, "barren": 1, "deadline_factor": 1.0}
"""Smallest values; 0 where nothing is said. A budget of no attempt would run nothing."""
