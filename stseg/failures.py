"""What a run can fail at: kinds of failure, and the rows of ``failures.json``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stseg.errors import one_line
from stseg.files import Json


class FailureKind(StrEnum):
    """Why an attempt failed, or why something is not tried again.

    The first six are what a worker reports of an attempt, the others what the scheduler
    concludes. The values stand in ``failures.json`` and ``events.jsonl``.
    """

    INPUT = "input"
    """An input cannot be used: a frame that cannot be read, weights that are missing. It is not
    tried again."""
    ERROR = "error"
    """The model or the finishing raised an exception, `RunLimits.errors` times."""
    CORRUPT = "corrupt"
    """A stored prediction does not read back as it was written. It has been removed, and the
    run makes it again once."""
    MEMORY = "memory"
    """There was too little memory; it is tried again with lighter settings."""
    DISK = "disk"
    """The disk cannot be written. It ends the run."""
    BROKEN = "broken"
    """After an exception the worker's process is of no use, and is replaced."""
    DIED = "died"
    """The worker died; it is not known yet whose fault that was."""
    SUSPECT = "suspect"
    """The pair ended its worker, or took far too long, while nothing else went wrong."""
    INFRASTRUCTURE = "infrastructure"
    """Workers or nodes were lost while the pair ran, through no fault of its own."""
    MEMBER = "member"
    """The member was stopped: its workers only died, or could not load it."""
    PAIRS = "pairs"
    """No member could segment the video."""

    def __str__(self) -> str:
        return str(self.value)


class CorruptPrediction(Exception):
    """A stored prediction does not read back as it was written; it has to be made again.

    It stands here so that a worker knows it without the libraries that read predictions.
    """

    def __init__(self, folder: Path, what: str):
        super().__init__(f"prediction {folder} {what}: it is made again by the next run")
        self.folder = folder


@dataclass(frozen=True)
class Failure:
    """A row of ``failures.json``: what was given up, and why.

    member     is None where the video itself failed
    message    is one sentence
    attempts   is how often it was tried, None where nothing was tried
    """

    video: str
    member: str | None
    kind: FailureKind
    message: str
    attempts: int | None = None

    def json(self) -> Json:
        """As it is stored; the kind is called ``category`` there."""
        stored = {
            "video": self.video,
            "member": self.member,
            "category": self.kind.value,
            "message": self.message,
        }
        return stored if self.attempts is None else {**stored, "attempts": self.attempts}

    @classmethod
    def parse(cls, stored: Json) -> Failure:
        """From what `json` gave."""
        return cls(
            stored["video"],
            stored["member"],
            FailureKind(stored["category"]),
            stored["message"],
            stored.get("attempts"),
        )

    def sentence(self) -> str:
        """For people, on one line."""
        who = f" ({self.member})" if self.member else ""
        return one_line(f"{self.video}{who}: {self.message}")
