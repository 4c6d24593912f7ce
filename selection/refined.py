"""What a record says of refinement: where the members disputed an object, what was tried there and
what came of it; and which correction by hand would be worth most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stseg.files import Json

DOUBTFUL = 0.05
"""What is added to how far a claim leads back, and is what the absence of an object is taken
to lead back: an object that nothing leads back to is absent."""

CLEARLY = 0.2
"""How much further than standing still a claim has to lead back to overrule a larger share."""

ARRIVES = 0.5
"""How far it has to lead back at all: of masks that arrive at less, half and more are wrong."""


@dataclass(frozen=True)
class Claim:
    """Where some members have an object on one frame.

    members    agree among themselves
    seen       tells whether they see the object at all
    share      is theirs of the say of all members, in [0, 1]
    returned   is the IoU at which their mask, followed back to the last frame without dispute,
               meets the mask there; None where it was not followed, as with an absent object
    standing   is the IoU at which it meets that mask as it is: what stands where the object was
               may be what hides it now, and leads back all the same
    """

    members: tuple[str, ...]
    seen: bool
    share: float
    returned: float | None = None
    standing: float = 0.0

    @property
    def worth(self) -> float:
        """What counts in a choice between claims: the share, and more so the way back."""
        back = self.returned if self.seen and self.returned is not None else DOUBTFUL
        return self.share * (back + DOUBTFUL) ** 2

    def json(self) -> Json:
        """As it is stored."""
        members = list(self.members)
        return {
            "members": members,
            "seen": self.seen,
            "share": self.share,
            "returned": self.returned,
            "standing": self.standing,
        }

    @classmethod
    def parse(cls, stored: Json) -> Claim:
        """From what `json` gave."""
        back = stored["returned"]
        return cls(
            tuple(map(str, stored["members"])),
            bool(stored["seen"]),
            float(stored["share"]),
            None if back is None else float(back),
            float(stored["standing"]),
        )


@dataclass(frozen=True)
class Dispute:
    """Frames on which members differ about where an object is, or whether it is there.

    object_id     is the object
    start, stop   are the frames, half open
    frame         is the one among them on which the claims are taken
    sure          is the last frame before on which most of the say agreed
    claims        are in the order of their shares, the largest first
    corrected     are the members that were corrected by the one that is taken
    round         is the number of the round of refinement that looked into it, from 1
    """

    object_id: int
    start: int
    stop: int
    frame: int
    sure: int
    claims: tuple[Claim, ...]
    corrected: tuple[str, ...] = ()
    round: int = 1

    @property
    def gain(self) -> float:
        """How many frames' worth of J a decision may bring."""
        return (self.stop - self.start) * (1 - self.claims[0].share)

    @property
    def taken(self) -> Claim:
        """The claim of most worth; the one with the largest share if it leads back itself, or if
        no other does, and clearly further than standing still would."""
        first = self.claims[0]
        if (first.returned or 0.0) >= ARRIVES:
            return first
        best = max(self.claims, key=lambda claim: claim.worth)
        least = max(ARRIVES, best.standing + CLEARLY)
        moved = best.returned is not None and best.returned >= least
        return best if moved or not best.seen else first

    @property
    def overruled(self) -> bool:
        """Whether another claim is taken than the one that has the largest share."""
        return self.taken is not self.claims[0]

    def repeats(self, other: Dispute) -> bool:
        """Whether it is between the same claims as ``other``, at the same time, and nobody was
        corrected for ``other`` who may have lost the object again since."""
        same = self.object_id == other.object_id and self.sides == other.sides
        if other.corrected:
            return same and self.frame == other.frame
        return same and self.start < other.stop and other.start < self.stop

    @property
    def sides(self) -> frozenset[tuple[frozenset[str], bool]]:
        """Who claims together, and whether they see the object."""
        return frozenset((frozenset(claim.members), claim.seen) for claim in self.claims)

    def led_back(self, met: Sequence[tuple[float | None, float]]) -> Dispute:
        """With what following each claim back gave: `returned` and `standing`."""
        judged = zip(self.claims, met, strict=True)
        return replace(
            self,
            claims=tuple(
                replace(claim, returned=back, standing=at) for claim, (back, at) in judged
            ),
        )

    def json(self) -> Json:
        """As it is stored."""
        return {
            "object": self.object_id,
            "frames": [self.start, self.stop],
            "frame": self.frame,
            "sure": self.sure,
            "claims": [claim.json() for claim in self.claims],
            "corrected": list(self.corrected),
            "round": self.round,
        }

    @classmethod
    def parse(cls, stored: Json) -> Dispute:
        """From what `json` gave."""
        start, stop = stored["frames"]
        return cls(
            int(stored["object"]),
            int(start),
            int(stop),
            int(stored["frame"]),
            int(stored["sure"]),
            tuple(map(Claim.parse, stored["claims"])),
            tuple(map(str, stored["corrected"])),
            int(stored.get("round", 1)),
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
