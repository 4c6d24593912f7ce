"""Shows the progress of a run: one line per stage, from the scheduler's events."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from ensemble.scheduling.messages import (
    FINISH,
    Action,
    Done,
    Event,
    GiveUp,
    JobRecord,
    LogEntry,
    Pair,
    Run,
    Start,
)
from ensemble.storage.journal import open_log
from stseg.cli import tell
from stseg.progress import Progress


class RunLog:
    """Takes every event: appends it to ``events.jsonl`` and keeps the progress line.

    A ``Plan`` event comes first (what this invocation has to do, and the wall clock behind the
    events' times), an ``End`` event last.

    members  names of all members
    pairs    what is to be run
    frames   video -> number of frames, of the videos to finish
    """

    def __init__(
        self, path: Path, members: Sequence[str], pairs: Sequence[Pair], frames: Mapping[str, int]
    ):
        self._file = open_log(path)
        self._frames = frames
        counts = Counter(pair.member for pair in pairs)
        total = sum(frames[pair.video] for pair in pairs) + sum(frames.values())
        self._bar = Progress(total, f"frames of {len(pairs)} pairs and {len(frames)} videos:")
        self._told: set[type] = set()
        self._write(
            {
                "event": "Plan",
                "time": time.monotonic(),
                "wall": time.time(),
                "pairs": {name: counts[name] for name in members},
                "videos": len(frames),
                "frames": dict(frames),
            }
        )
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._seen: defaultdict[str, int] = defaultdict(int)

    def __call__(self, entry: LogEntry) -> None:
        self._write(entry.json())
        message = entry.message
        self._tell_first(message)
        if isinstance(message, Done) and entry.member is not None:
            self._seconds[entry.member] += message.seconds
            self._seen[entry.member] += self._frames.get(entry.video or "", 0)
            self._bar.advance(self._frames.get(entry.video or "", 0), self.speeds())
        elif isinstance(message, GiveUp):
            self._bar.advance(self._frames.get(message.video, 0), self.speeds())

    def _tell_first(self, message: Event | Action) -> None:
        """Say that something happens for the first time, until the first pair shows progress."""
        if not isinstance(message, (Start, Run)) or type(message) in self._told:
            return
        self._told.add(type(message))
        if isinstance(message, Run):
            frames = self._frames.get(message.video, 0)
            tell(f"{message.member} begins with video {message.video}, {frames} frames")
        elif message.member:
            tell(f"loading {message.member} into the first worker")

    def speeds(self) -> str:
        """Seconds per frame of each member, measured so far."""
        return ", ".join(
            f"{'finish' if member == FINISH else member} {seconds / self._seen[member]:.3f} s/frame"
            for member, seconds in self._seconds.items()
            if self._seen[member]
        )

    def _write(self, line: JobRecord) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._write({"event": "End", "time": time.monotonic()})
        self._bar.close(self.speeds())
        self._file.close()
