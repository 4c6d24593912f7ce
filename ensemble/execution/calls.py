"""Calls a job and describes how it ended; used on both sides of the border between processes."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from ensemble.execution.executor import Job, JobWorker
from ensemble.scheduling.messages import Attempt, JobRecord
from stseg.cli import describe_os_error
from stseg.errors import InputError
from stseg.failures import CorruptPrediction, FailureKind

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class CallResult(NamedTuple):
    """How a call went: ``failure`` None and a record, or the kind of failure and a sentence."""

    seconds: float
    failure: FailureKind | None
    message: str = ""
    record: JobRecord | None = None


class MemberHolder:
    """The content of a worker's process: the job, and one member at a time."""

    def __init__(self, job: Job):
        self._job = job
        self._worker: JobWorker | None = None

    def load(self, member: str) -> CallResult:
        """Release the present member and load another one."""
        if self._worker is not None:
            self._worker = None
            _release_memory()

        def start() -> JobRecord:
            self._worker = self._job.start(member)
            return {}

        result = _call(start)
        _limit_threads()
        return result

    def run(self, video: str, attempt: Attempt) -> CallResult:
        worker = self._worker
        if worker is None:
            raise RuntimeError("a worker without a member was given a video")
        result = _call(lambda: worker.run(video, attempt))
        if result.failure is FailureKind.MEMORY:
            _release_memory()
        return result

    def finish(self, video: str, members: tuple[str, ...]) -> CallResult:
        return _call(lambda: self._job.finish(video, members))


def _call(call: Callable[[], JobRecord]) -> CallResult:
    start = time.monotonic()
    try:
        record = call()
    except (Exception, SystemExit) as error:
        return CallResult(time.monotonic() - start, classify(error), describe(error))
    return CallResult(time.monotonic() - start, None, "", record)


def classify(error: BaseException) -> FailureKind:
    """The kind of a job's failure. Torch's errors are recognised by name, because torch may not be
    installed."""
    if isinstance(error, InputError):
        return FailureKind.INPUT
    if isinstance(error, CorruptPrediction):
        return FailureKind.CORRUPT
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return FailureKind.MEMORY
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return FailureKind.MEMORY
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return FailureKind.DISK
    if type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error):
        return FailureKind.BROKEN
    return FailureKind.ERROR


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
    """Limit the libraries that are loaded by now to the cores that this worker was given."""
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is None or not threads.isdigit():
        return
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if torch is not None:
        torch.set_num_threads(int(threads))
    if cv2 is not None:
        cv2.setNumThreads(int(threads))
