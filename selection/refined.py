"""What a record says of refinement: who was corrected where, what came of it, and which
correction by hand would be worth most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stseg.files import Json


class Mistake(StrEnum):
    """What is probably wrong of a member and an object."""

    STRAYED = "strayed"
    """The member is where the witnesses do not see the object."""
    MISSED = "missed return"
    """The member sees nothing where the witnesses see the object."""
    FALSE = "false return"
    """The object comes back for the member alone, and the witnesses see nothing."""


class Verdict(StrEnum):
    """What became of a correction that was tried."""

    KEPT = "kept"
    NO_BETTER = "no better"
    """The estimate of quality does not rise beyond doubt."""
    ASTRAY = "leads elsewhere"
    """Run backwards from the correction, the member does not arrive at its own earlier mask."""


@dataclass(frozen=True)
class Anchor:
    """A correction of a member by the others.

    member      is corrected
    object_id   is the object
    frame       is that of the correction
    mistake     says what is probably wrong
    witnesses   agree on the mask of the correction, which is their vote; they see nothing in a
                false return
    start, stop are the frames, half open, on which the member is probably wrong
    sure        is the last frame before on which it agreed with the witnesses
    gain        is the sum over these frames of what the expected J may rise by
    """

    member: str
    object_id: int
    frame: int
    mistake: Mistake
    witnesses: tuple[str, ...]
    start: int
    stop: int
    sure: int
    gain: float

    def json(self) -> Json:
        """As it is stored."""
        return {
            "member": self.member,
            "object": self.object_id,
            "frame": self.frame,
            "mistake": str(self.mistake),
            "witnesses": list(self.witnesses),
            "wrong": [self.start, self.stop],
            "sure": self.sure,
            "gain": self.gain,
        }

    @classmethod
    def parse(cls, stored: Json) -> Anchor:
        """From what `json` gave."""
        start, stop = stored["wrong"]
        return cls(
            str(stored["member"]),
            int(stored["object"]),
            int(stored["frame"]),
            Mistake(stored["mistake"]),
            tuple(map(str, stored["witnesses"])),
            int(start),
            int(stop),
            int(stored["sure"]),
            float(stored["gain"]),
        )


@dataclass(frozen=True)
class Trial:
    """A correction that was tried.

    anchor      is what was corrected
    round       counts from 1
    verdict     tells whether the new masks were kept
    first, last are the first and the last frame that was run again
    rise        is the mean change of the expected J over them
    returned    is the IoU at which the way back met the member's earlier mask; None without one
    cost        is the number of frames that the model looked at
    """

    anchor: Anchor
    round: int
    verdict: Verdict
    first: int
    last: int
    rise: float
    returned: float | None
    cost: int

    def json(self) -> Json:
        """As it is stored."""
        return {
            **self.anchor.json(),
            "round": self.round,
            "verdict": str(self.verdict),
            "run": [self.first, self.last],
            "rise": self.rise,
            "returned": self.returned,
            "cost": self.cost,
        }

    @classmethod
    def parse(cls, stored: Json) -> Trial:
        """From what `json` gave."""
        first, last = stored["run"]
        back = stored["returned"]
        return cls(
            Anchor.parse(stored),
            int(stored["round"]),
            Verdict(stored["verdict"]),
            int(first),
            int(last),
            float(stored["rise"]),
            None if back is None else float(back),
            int(stored["cost"]),
        )


@dataclass(frozen=True)
class Suggestion:
    """The correction by hand that is worth most.

    frame      is the index of the frame to correct, and ``name`` its file stem
    object_id  is the object
    gain       is what the J of the whole video is expected to rise by, in [0, 1]
    """

    frame: int
    name: str
    object_id: int
    gain: float

    def json(self) -> Json:
        """As it is stored."""
        return {
            "frame": self.frame,
            "name": self.name,
            "object": self.object_id,
            "gain": self.gain,
        }

    @classmethod
    def parse(cls, stored: Json) -> Suggestion:
        """From what `json` gave."""
        return cls(
            int(stored["frame"]),
            str(stored["name"]),
            int(stored["object"]),
            float(stored["gain"]),
        )


def kept(trials: Sequence[Trial]) -> list[Trial]:
    """Those whose new masks took the place of the old ones."""
    return [trial for trial in trials if trial.verdict is Verdict.KEPT]
