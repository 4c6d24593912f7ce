"""A member that goes wrong as a video's name says, and the main command with short budgets.

``python faulty.py <arguments of ensemble.run>``; the adapter is found by the entry point that
test_faults.py writes.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator

import numpy as np

from adapters.base import FrameMasks
from adapters.hold import HoldSegmenter
from mose import Video

ENTRY_POINT = "[stseg.adapters]\nfaulty = faulty:FaultySegmenter\n"
GIBIBYTE = 1 << 30


class FaultySegmenter(HoldSegmenter):
    """As `HoldSegmenter`, but for the videos kills, hangs, raises and eats."""

    name = "faulty"

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        frames = super().segment(video)
        yield next(frames)
        if video.name == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        elif video.name == "hangs":
            time.sleep(600)
        elif video.name == "raises":
            raise ZeroDivisionError("a bug")
        elif video.name == "eats":
            eat()
        yield from frames


def eat() -> None:
    """Take memory until there is none: 1 GiB more than now is all that this process may have."""
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    limit = pages * resource.getpagesize() + GIBIBYTE
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    eaten = []
    try:
        while True:
            eaten.append(np.zeros(GIBIBYTE // 4, np.uint8))
    finally:
        eaten.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


QUICK = {
    "backoff": 0.05, "backoff_cap": 0.2, "settle": 0.4, "barren": 2, "suspect": 2, "ladder": 1,
    "deadline_floor": 2.0, "deadline_factor": 1000.0,
}  # fmt: skip
"""Budgets with which the faults take seconds."""


def main() -> None:
    from ensemble import run
    from stseg.cli import run_command

    limits = [f"--set=execution.limits.{name}={value}" for name, value in QUICK.items()]
    run_command(lambda _: run.main([*sys.argv[1:], *limits]))


if __name__ == "__main__":
    sys.modules["faulty"] = sys.modules["__main__"]
    main()
