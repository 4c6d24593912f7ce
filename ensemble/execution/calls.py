"""Calling a job and putting into words how it went; used on both sides of a process border."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from ensemble.execution.executor import Job, JobWorker
from ensemble.scheduling.messages import Attempt, Failure
from stseg.cli import describe_os_error
from stseg.errors import InputError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Report(NamedTuple):
    """How a call went: ``failure`` None and a record, or the kind of failure and a sentence."""

    seconds: float
    failure: Failure | None
    message: str = ""
    record: dict[str, Any] | None = None


class Hands:
    """What a worker's process holds: the job, and one member at a time."""

    def __init__(self, job: Job):
        self._job = job
        self._worker: JobWorker | None = None

    def load(self, member: str) -> Report:
        """Let go of the present member and load another."""
        if self._worker is not None:
            self._worker = None
            _release_memory()

        def start() -> dict[str, Any]:
            self._worker = self._job.start(member)
            return {}

        report = _report(start)
        _limit_threads()
        return report

    def run(self, video: str, attempt: Attempt) -> Report:
        worker = self._worker
        if worker is None:
            raise RuntimeError("a worker without a member was given a video")
        report = _report(lambda: worker.run(video, attempt))
        if report.failure == "memory":
            _release_memory()
        return report

    def finish(self, video: str, members: tuple[str, ...]) -> Report:
        return _report(lambda: self._job.finish(video, members))


def _report(call: Callable[[], dict[str, Any]]) -> Report:
    start = time.monotonic()
    try:
        record = call()
    except (Exception, SystemExit) as error:
        return Report(time.monotonic() - start, classify(error), describe(error))
    return Report(time.monotonic() - start, None, "", record)


def classify(error: BaseException) -> Failure:
    """The kind of a job's failure. Torch's errors are known by name: it may not be there."""
    if isinstance(error, InputError):
        return "input"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "memory"
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return "memory"
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return "disk"
    if type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error):
        return "broken"
    return "error"


def describe(error: BaseException) -> str:
    """A sentence; for an unexpected exception its type and the line that raised it, too."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return describe_os_error(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _release_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _limit_threads() -> None:
    """Hold libraries that are loaded by now to the cores that this worker was given."""
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is None or not threads.isdigit():
        return
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if torch is not None:
        torch.set_num_threads(int(threads))
    if cv2 is not None:
        cv2.setNumThreads(int(threads))
