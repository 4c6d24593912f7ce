"""The progress of a training on standard error, with the hour of its end where that is far."""

from __future__ import annotations

import time

from stseg.progress import Progress

CLOCK_FROM_SECONDS = 600.0
"""If a training takes longer than this many seconds, the time of its end is shown."""


class TrainingProgress:
    """The progress of a training, with the time of its end if that is far away.

    The first report tells from which step it went on.
    """

    def __init__(self, steps: int):
        self.steps = steps
        self.step = 0
        self._progress: Progress | None = None
        self._first, self._start = 0, 0.0

    def __call__(self, step: int, note: str) -> None:
        if self._progress is None:
            # Steps are counted from the first one on: what came before took no time of ours.
            self._progress = Progress(self.steps - step + 1, "training")
            self.step, self._first, self._start = step - 1, step, time.time()
        note = f"step {step}, {note}{self._end(step, time.time())}"
        self._progress.advance(step - self.step, note)
        self.step = step

    def _end(self, step: int, now: float) -> str:
        if step == self._first:
            return ""
        left = (now - self._start) / (step - self._first) * (self.steps - step)
        end = time.strftime("%a %H:%M", time.localtime(now + left))
        return f", ends {end}" if left > CLOCK_FROM_SECONDS else ""

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()
