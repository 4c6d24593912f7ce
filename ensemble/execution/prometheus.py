"""What Prometheus sees of a run that Ray exports: see docs/how-to/run-on-a-cluster.md."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge

FINISHING = "finish"
"""Stands for a member where videos are finished."""


class Metrics:
    """Counts the pairs that workers begin, and how they end.

    Ray gives each name its prefix ``ray_``; the tag ``member`` says whose the pairs are.

    stseg_running         pairs and videos that workers are busy with
    stseg_done            how many are done
    stseg_failed          attempts that failed, by ``reason``
    stseg_seconds         seconds that the done ones took
    """

    def __init__(self) -> None:
        tags = ("member",)
        self._running = Gauge("stseg_running", "pairs and videos being worked on", tags)
        self._done = Counter("stseg_done", "pairs and videos done", tags)
        self._seconds = Counter("stseg_seconds", "seconds that the done ones took", tags)
        self._failed = Counter("stseg_failed", "attempts that failed", ("member", "reason"))
        self._busy: dict[int, str] = {}
        self._counts: dict[str, int] = {}

    def began(self, worker: int, member: str) -> None:
        """A worker begins a pair of ``member``."""
        self._busy[worker] = member
        self._count(member, 1)

    def ended(self, worker: int, reason: str | None, seconds: float = 0.0) -> None:
        """A worker is no longer busy; ``reason`` says why its pair failed, None that it is done."""
        member = self._busy.pop(worker, None)
        if member is None:
            return
        self._count(member, -1)
        if reason is not None:
            self._failed.inc(1, {"member": member, "reason": reason})
            return
        self._done.inc(1, {"member": member})
        if seconds > 0:
            self._seconds.inc(seconds, {"member": member})

    def _count(self, member: str, change: int) -> None:
        self._counts[member] = self._counts.get(member, 0) + change
        self._running.set(self._counts[member], {"member": member})
