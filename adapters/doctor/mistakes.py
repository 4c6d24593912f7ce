"""The mistakes that are most often reported, and the line that a check gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mistake(StrEnum):
    """What is most often behind numbers that are not the published ones."""

    WRONG_CHECKPOINT = "wrong checkpoint of a family"
    BGR = "BGR for RGB"
    NORMALISATION = "wrong normalisation"
    WORKING_SIZE = "other working size"
    OLD_GPU = "half precision on an old GPU"
    SMOOTH_MASKS = "masks resized smoothly"
    POSITIONS = "ids for positions"
    FLOW = "flow without its colours"
    SKIPPED_FRAME = "first frame skipped"
    TEXT_ORDER = "frames in text order"


class CheckResult(StrEnum):
    """What a check found. Only `WRONG` makes the command fail."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing, and perhaps meant so."""
    WRONG = "wrong"
    SKIPPED = "skipped"
    """Could not be checked here."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor.

    subject    what was looked at: "versions", "input of xmem"
    sentence   what was found
    mistake    its name, where it has one
    """

    subject: str
    verdict: CheckResult
    sentence: str
    mistake: Mistake | None = None

    @property
    def line(self) -> str:
        """Without the subject: the mistake's name comes first."""
        return f"{self.mistake}: {self.sentence}" if self.mistake else self.sentence


def fine(subject: str, sentence: str) -> Check:
    """A check that found nothing wrong."""
    return Check(subject, CheckResult.OK, sentence)


def wrong(subject: str, sentence: str, mistake: Mistake | None = None) -> Check:
    """A check that found something wrong."""
    return Check(subject, CheckResult.WRONG, sentence, mistake)
