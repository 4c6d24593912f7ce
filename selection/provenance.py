"""What the masks of a video were made from: a part of its selection record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stseg.files import Json


@dataclass(frozen=True)
class Provenance:
    """What a video was made from; no later choice changes it.

    key               is the resume key under which the video counts as complete
    height, width     are those of the frames, None where they are not known
    missing_members   gave no prediction
    reduced_members   ran in lighter settings than their options say: name -> a description of them
    seconds           is how long finishing the video took, None where it is not known
    notes             are what members said of themselves: name -> sentences
    corrections       are the objects that were corrected, by the name of the frame
    never_given       are the objects of the labels that no given mask holds
    categories        are the kinds of things that objects belong to, as far as the data set says
    """

    key: str = ""
    height: int | None = None
    width: int | None = None
    missing_members: tuple[str, ...] = ()
    reduced_members: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    corrections: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    never_given: tuple[int, ...] = ()
    categories: Mapping[int, str] = field(default_factory=dict)

    def called(self, object_id: int) -> str:
        """What pages call an object: "object 3", "object 3 (dog)"."""
        category = self.categories.get(object_id)
        return f"object {object_id}" + (f" ({category})" if category else "")

    def json(self) -> Json:
        """As it is stored; unknown values are left out."""
        stored: Json = {"missing_members": list(self.missing_members)}
        if self.key:
            stored["key"] = self.key
        stored["reduced_members"] = dict(self.reduced_members)
        for name in ("height", "width", "seconds"):
            if (value := getattr(self, name)) is not None:
                stored[name] = value
        if self.notes:
            stored["notes"] = {name: list(notes) for name, notes in self.notes.items()}
        if self.corrections:
            stored["corrections"] = {name: list(ids) for name, ids in self.corrections.items()}
        if self.never_given:
            stored["never_given"] = list(self.never_given)
        if self.categories:
            stored["categories"] = {str(n): kind for n, kind in self.categories.items()}
        return stored

    @classmethod
    def parse(cls, stored: Json) -> Provenance:
        """From what `json` gave."""
        height, width, seconds = (stored.get(name) for name in ("height", "width", "seconds"))
        return cls(
            str(stored.get("key", "")),
            None if height is None else int(height),
            None if width is None else int(width),
            tuple(map(str, stored["missing_members"])),
            dict(stored.get("reduced_members", {})),
            None if seconds is None else float(seconds),
            {name: tuple(map(str, notes)) for name, notes in stored.get("notes", {}).items()},
            {name: tuple(map(int, ids)) for name, ids in stored.get("corrections", {}).items()},
            tuple(map(int, stored.get("never_given", ()))),
            {int(n): str(kind) for n, kind in stored.get("categories", {}).items()},
        )
