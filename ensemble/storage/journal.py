"""The journal: what a run directory holds, kept in one file, so that large runs resume in seconds.

``resume.jsonl`` is append-only. The driver adds a line for every video that it has looked at, every
prediction and every finished video. A line counts only while the files that it describes have the
size and modification time of then; otherwise the files themselves are looked at. So a missing, torn
or outdated line costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from ensemble.storage.run_directory import RunDirectory
from stseg.files import write_text


class Input(NamedTuple):
    """What planning needs of a video.

    files    its first given masks: number of their folder (from 1), slash, name
    stamps   times of modification of its folder of frames and its folders of given masks,
             then sizes and times of those files
    """

    fingerprint: str
    frames: int
    objects: int
    height: int
    width: int
    files: tuple[str, ...] = ()
    stamps: tuple[int, ...] = ()

    @property
    def units(self) -> float:
        """Frames x objects x pixels: what a pair's cost grows with."""
        return float(self.frames * max(self.objects, 1) * self.height * self.width)


class Whole(NamedTuple):
    """The resume key under which something was made, and the stamp of its files at that time, see
    `RunDirectory.prediction_stamp` and `RunDirectory.finished_stamp`."""

    key: str
    stamp: tuple[int, ...]


@dataclass
class Journal:
    """The content of ``resume.jsonl``; new entries are also written to the file if it is open.

    inputs   video -> what it looked like
    pairs    member -> video -> its prediction
    videos   video -> what finishing it wrote, of those finished with all members
    """

    inputs: dict[str, Input] = field(default_factory=dict)
    pairs: dict[str, dict[str, Whole]] = field(default_factory=dict)
    videos: dict[str, Whole] = field(default_factory=dict)
    file: TextIO | None = None
    flush: bool = True
    """Whether every line reaches the file at once."""

    def note_input(self, video: str, video_input: Input) -> None:
        self.inputs[video] = video_input
        self._write("input", video, *video_input)

    def forget_input(self, video: str) -> None:
        """Forget a video that has changed, so that it is looked at again."""
        if self.inputs.pop(video, None) is not None:
            self._write("input", video)

    def note_pair(self, member: str, video: str, whole: Whole) -> None:
        self.pairs.setdefault(member, {})[video] = whole
        self._write("pair", member, video, *whole)

    def note_video(self, video: str, whole: Whole) -> None:
        self.videos[video] = whole
        self._write("video", video, *whole)

    def _write(self, *line: Any) -> None:
        if self.file is not None:
            self.file.write(json.dumps(line, separators=(",", ":")) + "\n")
            if self.flush:
                self.file.flush()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Lines noted in the block reach the file together."""
        self.flush = False
        try:
            yield
        finally:
            self.flush = True
            if self.file is not None:
                self.file.flush()

    def take_in(self, line: str) -> None:
        """Take one line of the file; raises `ValueError` or the like for a broken one."""
        kind, name, *rest = json.loads(line)
        if kind == "input":
            if rest:
                print_, frames, objects, height, width, files, stamps = rest
                self.inputs[name] = Input(
                    print_, frames, objects, height, width, tuple(files), tuple(stamps)
                )
            else:
                self.inputs.pop(name, None)
        elif kind == "pair":
            video, key, stamp = rest
            self.pairs.setdefault(name, {})[video] = Whole(key, tuple(stamp))
        elif kind == "video":
            key, stamp = rest
            self.videos[name] = Whole(key, tuple(stamp))

    def __len__(self) -> int:
        return len(self.inputs) + len(self.videos) + sum(map(len, self.pairs.values()))

    def lines(self) -> Iterator[str]:
        """The lines of the shortest file with the same content."""
        for name, video_input in self.inputs.items():
            yield json.dumps(("input", name, *video_input), separators=(",", ":"))
        for member, wholes in self.pairs.items():
            for name, whole in wholes.items():
                yield json.dumps(("pair", member, name, *whole), separators=(",", ":"))
        for name, whole in self.videos.items():
            yield json.dumps(("video", name, *whole), separators=(",", ":"))


def read_journal(run: RunDirectory) -> tuple[Journal, int]:
    """What the run directory's file says, and how many lines it has."""
    journal, count = Journal(), 0
    with contextlib.suppress(FileNotFoundError), open(run.journal, errors="replace") as file:
        for line in file:
            count += 1
            with contextlib.suppress(ValueError, TypeError):
                journal.take_in(line)
    return journal, count


@contextlib.contextmanager
def open_journal(run: RunDirectory) -> Iterator[Journal]:
    """The run directory's journal, to be added to; only for whoever holds the run's lease."""
    journal, count = read_journal(run)
    path = run.journal
    if count > 2 * len(journal) + 1000:
        write_text(path, "".join(f"{line}\n" for line in journal.lines()))
    with open_log(path) as file:
        journal.file = file
        yield journal


def open_log(path: Path) -> TextIO:
    """Open a file of lines to append to it. A line that a killed writer cut off is ended."""
    file = open(path, "a+b")  # noqa: SIM115
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    file.close()
    return open(path, "a", encoding="utf-8")
