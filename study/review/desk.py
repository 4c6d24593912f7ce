"""The state of a server: the run, its work list, the few videos that are open, who works here."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ensemble.execution.lease import held
from selection.record import read_record
from selection.report.first_looks import first_few, in_order
from stseg.errors import InputError
from stseg.files import Json
from study.apply_edit import OpenRun, choice_of, finish_broken_off
from study.edits import History, now
from study.review.continuing import Continuations
from study.review.pictures import ShownVideo, Trial
from study.review.work_list import Mark, WorkRow

OPEN_VIDEOS = 4
"""Videos that stay open at a time: those of a few tabs."""
PATIENCE = 3.0
"""Seconds to wait for another reviewer's write."""


class Stale(InputError):
    """Raised because somebody else has changed the video since the page was made."""


class NoSuchPage(InputError):
    """Raised for an address that names nothing here."""


@dataclass
class Desk:
    """What a server works on; everything in it may be used from several threads.

    by   is who works here
    """

    opened: OpenRun
    by: str
    continuations: Continuations
    rows: dict[str, WorkRow] = field(default_factory=dict)
    _stamps: dict[str, int] = field(default_factory=dict)
    _videos: OrderedDict[str, tuple[tuple[int, ...], ShownVideo]] = field(
        default_factory=OrderedDict
    )
    _reading: threading.RLock = field(default_factory=threading.RLock)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def at(cls, root: str | Path, by: str, executor: str | None = None) -> Desk:
        """For a run; a change over which somebody died is finished. `InputError` where there is
        none."""
        opened = OpenRun.at(root)
        desk = cls(opened, by, Continuations(opened, executor))
        if opened.run.unfinished_edit.is_file():
            with desk.changing():
                pass
        desk.work_list()
        return desk

    def work_list(self) -> list[WorkRow]:
        """Every video, those first where looking can gain most; records that changed are read."""
        with self._reading:
            for path in self.opened.run.record_paths():
                stamp = path.stat().st_mtime_ns
                if self._stamps.get(path.name) != stamp:
                    row = WorkRow.of(read_record(path))
                    self.rows[row.page] = row
                    self._stamps[path.name] = stamp
            marks = self.marks()
            few = {row.video for row in first_few(list(self.rows.values()))}
            rows = [
                replace(row, mark=marks.get(row.video, Mark.OPEN), first=row.video in few)
                for row in self.rows.values()
            ]
        return in_order(rows)

    def name_of(self, page: str) -> str:
        """The video of a page; `NoSuchPage` for a name that the run does not have."""
        row = self.rows.get(page)
        if row is None:
            raise NoSuchPage("this run has no such video: go back to the list")
        return row.video

    def open(self, page: str) -> ShownVideo:
        """A video to look at, as it is now."""
        name = self.name_of(page)
        with self._reading:
            folder = self.continuations.trial(name)
            record_path = self.opened.run.record_path(name)
            stamp = (record_path.stat().st_mtime_ns, int(folder.root.name) if folder else 0)
            kept = self._videos.get(page)
            if kept is None or kept[0] != stamp:
                record = read_record(record_path)
                present = self.opened.history(name).present
                video = self.opened.video(name, present if record.overridden else None)
                images = self.opened.dataset.frames_of(name)
                trial = None
                if folder is not None:
                    edit = self.continuations.accepted(name, present, self.by)
                    made = read_record(folder.record_path(name))
                    trial = Trial(ShownVideo(folder, video, made, images), choice_of(made, edit))
                kept = stamp, ShownVideo(self.opened.run, video, record, images, trial)
                self._videos[page] = kept
            self._videos.move_to_end(page)
            while len(self._videos) > OPEN_VIDEOS:
                self._videos.popitem(last=False)
            return kept[1]

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the run's lease; a change that broke off is finished first.

        `InputError` where a run, or another reviewer for longer than a moment, has it.
        """
        with self._changing, contextlib.ExitStack() as stack:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    stack.enter_context(held(self.opened.run.root))
                    break
                except InputError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
            finish_broken_off(self.opened)
            yield

    def up_to_date(self, video: str, version: int) -> History:
        """The states of a video; `Stale` where there are more than the page knows of."""
        told = self.opened.history(video)
        if told.edits != version:
            line = self.opened.log()[video][-1] if told.edits else {"by": ""}
            who = line["by"] or "somebody"
            raise Stale(f"{who} has changed this video meanwhile: look at it again")
        return told

    @property
    def _marks_path(self) -> Path:
        return self.opened.run.root / "marks.jsonl"

    def marks(self) -> dict[str, Mark]:
        """Video -> what was last said of it."""
        marks = {}
        if self._marks_path.is_file():
            for line in self._marks_path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError):
                    stored = json.loads(line)
                    marks[stored["video"]] = Mark(stored["mark"])
        return marks

    def mark(self, page: str, mark: Mark) -> None:
        """Note what somebody says of a video."""
        line: Json = {"time": now(), "by": self.by, "video": self.name_of(page), "mark": mark.value}
        with self._changing, open(self._marks_path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
