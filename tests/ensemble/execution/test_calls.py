"""What a worker makes of a job: kinds of failure, records, one member at a time."""

import errno
import json

import pytest

from ensemble.execution.calls import MemberHolder, classify
from ensemble.execution.inline import InlineExecutor
from ensemble.scheduling.messages import (
    Attempt,
    GiveUp,
    LogEntry,
    Shape,
    Start,
)
from mose import InputError
from stseg.failures import CorruptPrediction, Failure, FailureKind


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("frame 3 is damaged"), FailureKind.INPUT),
        (CorruptPrediction("runs/a", "is damaged"), FailureKind.CORRUPT),
        (MemoryError(), FailureKind.MEMORY),
        (OutOfMemoryError("CUDA out of memory"), FailureKind.MEMORY),
        (RuntimeError("can't allocate memory: 9 bytes"), FailureKind.MEMORY),
        (OSError(errno.ENOSPC, "full"), FailureKind.DISK),
        (RuntimeError("CUDA error: device-side assert"), FailureKind.BROKEN),
        (ValueError("CorruptPrediction in a message"), FailureKind.ERROR),
    ],
)
def test_an_exception_has_a_kind_by_its_class(error, kind):
    assert classify(error) is kind


class Job:
    def check(self):
        """Everything is there."""

    def start(self, member):
        if member == "missing":
            raise InputError("weights x.pth do not exist")
        return self

    def run(self, video, attempt):
        return {"video": video, "attempt": attempt.number}

    def finish(self, video, members):
        raise CorruptPrediction("runs/a", "is damaged")


def test_results_carry_the_record_or_the_kind():
    holder = MemberHolder(Job())
    assert holder.load("missing").failure is FailureKind.INPUT
    assert holder.load("a").failure is None
    assert holder.run("x", Attempt(2)).record == {"video": "x", "attempt": 2}
    finished = holder.finish("x", ("a",))
    assert finished.failure is FailureKind.CORRUPT
    assert "is damaged" in finished.message


def test_inline_executor_reports_the_kind():
    with InlineExecutor(Job()) as executor:
        executor.wait(0.0)
        executor.perform(Start(1, "missing", Shape()))
        *_, failed = executor.wait(0.0)
    assert failed.failure is FailureKind.INPUT


def test_kinds_are_words_in_files_and_read_back():
    failure = Failure("x", "a", FailureKind.MEMORY, "too large", 4)
    stored = json.loads(json.dumps(failure.json()))
    assert stored["category"] == "memory"
    assert Failure.parse(stored) == failure
    assert failure.sentence() == "x (a): too large"
    entry = LogEntry(GiveUp("a", "x", FailureKind.MEMORY, "too large", 4), decided=2.0)
    assert json.loads(json.dumps(entry.json()))["category"] == "memory"
