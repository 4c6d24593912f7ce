"""Shows the progress of a run: one line per stage, from the scheduler's events."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ensemble.scheduling.messages import (
    FINISH,
    Action,
    Done,
    Event,
    Failed,
    GiveUp,
    JobRecord,
    LogEntry,
    Pair,
    Run,
    Start,
    Stop,
    WorkerLost,
)
from ensemble.storage.journal import open_log
from ensemble.storage.predictions import frames_so_far
from selection.run_paths import RunPaths
from stseg.cli import counted, print_status
from stseg.progress import Progress

LOOK_INTERVAL = 1.0
"""Seconds between looks at how far the running pairs are."""


class RunLog:
    """Takes every event: appends it to ``events.jsonl`` and keeps the progress line, which also
    counts the frames of pairs that are not done yet.

    A ``Plan`` event comes first (what this invocation has to do, and the wall clock behind the
    events' times), an ``End`` event last.

    members  names of all members
    pairs    what is to be run
    frames   video -> number of frames, of the videos to finish
    """

    def __init__(
        self,
        run: RunPaths,
        members: Sequence[str],
        pairs: Sequence[Pair],
        frames: Mapping[str, int],
    ):
        self._run = run
        self._file = open_log(run.events)
        self._frames = frames
        counts = Counter(pair.member for pair in pairs)
        total = sum(frames[pair.video] for pair in pairs) + sum(frames.values())
        self._bar = Progress(
            total, f"frames of {counted(len(pairs), 'pair')} and {counted(len(frames), 'video')}:"
        )
        self._told: set[type] = set()
        self._running: dict[int, Run] = {}
        self._settled = 0
        self._next_look = 0.0
        self._lock = threading.Lock()
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
        with self._lock:
            self._take(entry)

    def _take(self, entry: LogEntry) -> None:
        self._write(entry.json())
        message = entry.message
        self._tell_first(message)
        if isinstance(message, Run):
            self._running[message.worker] = message
        elif isinstance(message, (Done, Failed, WorkerLost, Stop)):
            self._running.pop(message.worker, None)
        if isinstance(message, Done) and entry.member is not None:
            self._seconds[entry.member] += message.seconds
            self._seen[entry.member] += self._frames.get(entry.video or "", 0)
            self._settle(entry.video or "")
        elif isinstance(message, GiveUp):
            self._settle(message.video)

    def _settle(self, video: str) -> None:
        self._settled += self._frames.get(video, 0)
        self._show()

    @contextlib.contextmanager
    def refreshed(self) -> Iterator[None]:
        """Within the block, keep the line up to date, also while this process runs a pair."""
        ended = threading.Event()

        def refresh_until_ended() -> None:
            while not ended.wait(LOOK_INTERVAL):
                self.refresh()

        thread = threading.Thread(target=refresh_until_ended, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def refresh(self) -> None:
        """Bring the line up to date with the pairs that run, every `LOOK_INTERVAL` seconds."""
        with self._lock:
            if time.monotonic() >= self._next_look:
                self._show()

    def _show(self) -> None:
        self._next_look = time.monotonic() + LOOK_INTERVAL
        running = sum(
            frames_so_far(self._run.prediction(pair.member, pair.video), pair.attempt.token)
            for pair in self._running.values()
        )
        self._bar.reach(self._settled + running, self.speeds())

    def _tell_first(self, message: Event | Action) -> None:
        """Say that something happens for the first time, until the first pair shows progress."""
        if not isinstance(message, (Start, Run)) or type(message) in self._told:
            return
        self._told.add(type(message))
        if isinstance(message, Run):
            frames = self._frames.get(message.video, 0)
            print_status(f"{message.member} begins with video {message.video}, {frames} frames")
        elif message.member:
            print_status(f"loading {message.member} into the first worker")

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
