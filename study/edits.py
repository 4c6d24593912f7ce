"""What people change in a run: the state of a video, and the log of how it came about.

A state says all that a video's masks are made from. The log, ``overrides.jsonl``, has a line per
change with the state after it, so that every change can be undone, however long ago. Pure, but for
the reading and writing of the log.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from selection.record import SelectionRecord
from selection.spans import ObjectSpans, Ranges, candidate_at, spans_between, stored_plan
from stseg.files import Json


class EditKind(StrEnum):
    """What somebody did to a video."""

    CHOOSE = "choose"
    CORRECT = "correct"
    CONTINUE = "continue"
    """The members' masks from the corrections on took the place of the earlier ones."""
    UNDO = "undo"
    REDO = "redo"
    RESTORE = "restore"
    """Back to what the run itself had selected."""


@dataclass(frozen=True)
class DrawnFrame:
    """What is corrected by hand on one frame.

    mask   is the name of a file of drawn masks, None where all corrected objects are gone
    ids    are the objects that it corrects, ascending
    gone   are those of them that are not there
    """

    mask: str | None
    ids: tuple[int, ...]
    gone: tuple[int, ...] = ()


@dataclass(frozen=True)
class VideoState:
    """Everything that a video's selected masks are made from, besides its data.

    plan         tells which candidate each object is taken from
    absent       are frames on which an object counts as absent, by object id
    corrections  are what is drawn by hand, by the name of the frame
    base         is 0 where the members' masks are those of the run, else the number of the
                 continuation that took their place
    """

    plan: ObjectSpans
    absent: Mapping[int, Ranges] = field(default_factory=dict)
    corrections: Mapping[str, DrawnFrame] = field(default_factory=dict)
    base: int = 0

    @classmethod
    def of(cls, record: SelectionRecord) -> VideoState:
        """As a record has it, without corrections."""
        return cls(dict(record.plan), dict(record.absent))

    def json(self) -> Json:
        """As it is stored."""
        return {
            "plan": stored_plan(self.plan),
            "absent": {str(n): [list(part) for part in parts] for n, parts in self.absent.items()},
            "corrections": {
                frame: {"mask": drawn.mask, "ids": list(drawn.ids), "gone": list(drawn.gone)}
                for frame, drawn in self.corrections.items()
            },
            "base": self.base,
        }

    @classmethod
    def parse(cls, stored: Json, frames: int) -> VideoState:
        """From what `json` gave, of a video with ``frames`` frames."""
        return cls(
            {
                int(n): spans_between([(int(start), str(name)) for start, name in parts], frames)
                for n, parts in stored["plan"].items()
            },
            {
                int(n): tuple((int(start), int(stop)) for start, stop in parts)
                for n, parts in stored["absent"].items()
            },
            {
                frame: DrawnFrame(drawn["mask"], tuple(drawn["ids"]), tuple(drawn["gone"]))
                for frame, drawn in stored["corrections"].items()
            },
            int(stored["base"]),
        )


@dataclass(frozen=True)
class Edit:
    """A line of the log.

    time        of the change, UTC, in ISO format
    by          is who made it
    kind        is what was done to ``video``
    candidate   was put in place, None where nobody chose one
    object      is the one that it was for, None for all
    frames      are the first and the one after the last, None for all; of a correction, its frame
    state       is the video's after it
    fresh       tells that the run had made the video anew, so that nothing before can be undone
    """

    time: str
    by: str
    video: str
    kind: EditKind
    candidate: str | None
    object: int | None
    frames: tuple[int, int] | None
    state: VideoState
    fresh: bool = False

    def json(self) -> Json:
        """As it is stored."""
        stored: Json = {name: getattr(self, name) for name in ("time", "by", "video")}
        stored |= {"kind": self.kind.value, "candidate": self.candidate, "object": self.object}
        stored |= {"frames": self.frames and list(self.frames), "state": self.state.json()}
        return {**stored, "fresh": True} if self.fresh else stored

    @classmethod
    def parse(cls, stored: Json, frames: int) -> Edit:
        """From what `json` gave, of a video with ``frames`` frames."""
        span = stored["frames"]
        return cls(
            stored["time"],
            stored["by"],
            stored["video"],
            EditKind(stored["kind"]),
            stored["candidate"],
            stored["object"],
            None if span is None else (int(span[0]), int(span[1])),
            VideoState.parse(stored["state"], frames),
            stored.get("fresh", False),
        )


@dataclass(frozen=True)
class History:
    """The states of a video.

    done     begins with the one that the run made; the last one is the present
    undone   are those that can be had back, the next one last
    edits  counts the lines of the log, so that a page can tell whether it is up to date
    fresh    tells that the run has made the video anew since the last of them
    """

    done: tuple[VideoState, ...]
    undone: tuple[VideoState, ...] = ()
    edits: int = 0
    fresh: bool = False

    @property
    def own(self) -> VideoState:
        """What the run itself made."""
        return self.done[0]

    @property
    def present(self) -> VideoState:
        return self.done[-1]

    def after(self, edit: Edit) -> History:
        """With one more edit."""
        count = self.edits + 1
        if edit.kind is EditKind.UNDO and len(self.done) > 1:
            return History(self.done[:-1], (*self.undone, self.present), count)
        if edit.kind is EditKind.REDO and self.undone:
            return History((*self.done, self.undone[-1]), self.undone[:-1], count)
        return History((*self.done, edit.state), (), count)


def history(own: VideoState, edits: Iterable[Edit]) -> History:
    """The states of a video from its edits, in order."""
    told = History((own,))
    for edit in edits:
        told = (History((own,), (), told.edits) if edit.fresh else told).after(edit)
    return told


def changed_frames(before: VideoState, after: VideoState, names: tuple[str, ...]) -> set[int]:
    """The frames on which two states may differ in their masks."""
    if before.base != after.base:
        return set(range(len(names)))
    changed = {
        index
        for index, name in enumerate(names)
        if before.corrections.get(name) != after.corrections.get(name)
    }
    for object_id in after.plan:
        old, new = before.plan[object_id], after.plan[object_id]
        away = (before.absent.get(object_id, ()), after.absent.get(object_id, ()))
        if old == new and away[0] == away[1]:
            continue
        changed |= {
            index
            for index in range(len(names))
            if candidate_at(old, index) != candidate_at(new, index)
            or _within(away[0], index) != _within(away[1], index)
        }
    return changed


def _within(ranges: Ranges, index: int) -> bool:
    return any(start <= index < stop for start, stop in ranges)


def read_edits(path: Path) -> dict[str, list[Json]]:
    """Video -> the lines of the log that can be undone, as they are stored. A line that a crash
    cut off, and lines of earlier releases, which hold no state, are left out."""
    edits: dict[str, list[Json]] = {}
    if not path.is_file():
        return edits
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            stored = json.loads(line)
        except ValueError:
            continue
        if isinstance(stored, dict) and "state" in stored:
            edits.setdefault(stored["video"], []).append(stored)
    return edits


def now() -> str:
    """The time as the log has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def person() -> str:
    """The name of whoever works here, as the system knows it; empty where it does not."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
