"""What a run shows while it works: one line per stage, from the scheduler's events."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ensemble.scheduling.messages import FINISH, Done, GiveUp, JobRecord, LogEntry
from ensemble.storage.journal import open_log
from stseg.progress import Progress


class RunLog:
    """Takes every event: appends it to ``events.jsonl`` and keeps the progress line.

    A ``Plan`` event comes first (what this invocation has to do, and the wall clock behind the
    events' times), an ``End`` event last.

    pairs    member -> number of pairs to run
    frames   video -> number of frames, of the videos to finish
    """

    def __init__(self, path: Path, pairs: Mapping[str, int], frames: Mapping[str, int]):
        self._file = open_log(path)
        self._frames = frames
        total = sum(pairs.values())
        self._bar = Progress(total + len(frames), f"{total} pairs, {len(frames)} videos:")
        self._write(
            {
                "event": "Plan",
                "time": time.monotonic(),
                "wall": time.time(),
                "pairs": dict(pairs),
                "videos": len(frames),
                "frames": dict(frames),
            }
        )
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._seen: defaultdict[str, int] = defaultdict(int)

    def __call__(self, entry: LogEntry) -> None:
        self._write(entry.json())
        message = entry.message
        if isinstance(message, Done) and entry.member is not None:
            self._seconds[entry.member] += message.seconds
            self._seen[entry.member] += self._frames.get(entry.video or "", 0)
            self._bar.advance(note=self.speeds())
        elif isinstance(message, GiveUp):
            self._bar.advance(note=self.speeds())

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
