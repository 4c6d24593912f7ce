"""How often and how long a run tries: its budgets and deadlines, ``execution.limits``."""

from __future__ import annotations

from dataclasses import dataclass

from stseg.options import option


@dataclass(frozen=True)
class RunLimits:
    """Budgets of attempts, and times in seconds.

    Budgets are separate, because blame differs: ``infrastructure`` failures are nobody's fault
    and many are bearable, a ``suspect`` pair's worker died while nothing else went wrong,
    ``errors`` are exceptions that the pair raised itself.
    """

    infrastructure: int = option(
        20, doc="How often a pair may lose its worker through no fault of its own.", least=0
    )
    suspect: int = option(
        3, doc="A pair that was itself to blame for this many lost workers is given up.", least=1
    )
    errors: int = option(2, doc="A pair that raised this many exceptions is given up.", least=1)
    ladder: int = option(3, doc="Steps to lighter settings where memory is short.", least=0)
    barren: int = option(
        7,
        doc="A member is stopped after this many rounds in which its workers died or failed to"
        " start, and completed nothing; after twice as many once it has completed a pair.",
        least=1,
    )
    backoff: float = option(
        1.0, doc="Seconds before the second attempt; they double with every failure.", least=0
    )
    backoff_cap: float = option(60.0, doc="Seconds between two attempts at most.", least=0)
    settle: float = option(
        1.0,
        doc="A worker's death is judged this many seconds later, when it is known who else died.",
        least=0,
    )
    blame_window: float = option(
        5.0,
        doc="Deaths of others up to this many seconds before count as evidence that a pair is not"
        " to blame.",
        least=0,
    )
    deadline_factor: float = option(
        20.0, doc="A pair may take this many times its measured cost.", least=1
    )
    deadline_floor: float = option(120.0, doc="Seconds that any pair may take.", above=0)
    first_deadline: float = option(
        3600.0,
        doc="Seconds that a pair may take while none of its member has been measured.",
        above=0,
    )
    start_deadline: float = option(
        1800.0, doc="Seconds from the start of a worker's process to its readiness.", above=0
    )
