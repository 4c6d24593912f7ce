"""What a run has completed already, found without opening every file of a large run.

A video, a prediction or a finished video that is in the run's journal (`storage.journal`) is
trusted while the sizes and modification times of its files are unchanged. Any other is looked at.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ensemble.job import RunJob
from ensemble.scheduling.messages import Done, LogEntry
from ensemble.storage.journal import Input, Journal, Whole
from ensemble.storage.run_directory import RunDirectory
from mose import InputError, Video
from mose.dataset import Dataset
from mose.findings import Finding
from selection.run_paths import WRITTEN
from stseg.cli import counted
from stseg.files import PARTIAL
from stseg.progress import progress

LOOK_AT_ALL = 1000
"""A run of up to this many videos looks at all of its files again at each start. In a larger run, a
video is trusted if its folders and given masks have not changed."""
LOOKERS = 8
"""The number of videos that are looked at in parallel: decoding masks and waiting for files release
Python's lock."""
STAMPED_MASKS = 8
"""At most this many given masks of a video are stamped."""
SETTLED = 2.0
"""Seconds. A file that changed more recently may change again without a new modification time."""


def look_at_all(
    dataset: Dataset, videos: Sequence[str], journal: Journal
) -> tuple[dict[str, Input], dict[str, str], list[Finding]]:
    """What each video looks like, why those that cannot be run cannot, and what is worth
    knowing of how those were read that were looked at now."""
    known = journal.inputs
    inputs: dict[str, Input] = {}
    broken: dict[str, str] = {}
    if len(videos) > LOOK_AT_ALL:
        inputs = {n: known[n] for n in videos if n in known and unchanged(dataset, n, known[n])}
    rest = [name for name in videos if name not in inputs]
    notes = [*dataset.notes]
    with ThreadPoolExecutor(LOOKERS) as pool:
        looks: Iterable[tuple[Input | str, tuple[Finding, ...]]]
        looks = pool.map(partial(_look_or_say_why, dataset), rest)
        if len(rest) > LOOK_AT_ALL:
            looks = progress(looks, len(rest), "looking at the videos:")
        for name, (seen, more) in zip(rest, looks, strict=True):
            notes += more
            if isinstance(seen, str):
                broken[name] = seen
                continue
            inputs[name] = seen
            if seen.stamps and seen != known.get(name):
                journal.note_input(name, seen)
            elif seen != known.get(name):
                journal.forget_input(name)
    return {name: inputs[name] for name in videos if name in inputs}, broken, notes


def _look_or_say_why(dataset: Dataset, name: str) -> tuple[Input | str, tuple[Finding, ...]]:
    """What a video looks like, or why it cannot be run; and what is worth knowing of it."""
    try:
        return look_at(dataset, name)
    except (InputError, OSError) as error:
        return str(error), ()


def look_at(dataset: Dataset, name: str) -> tuple[Input, tuple[Finding, ...]]:
    """Open a video and look at all its files' names and sizes, and at its given masks.

    Raises `InputError` for a video that cannot be run. Decodes no frame. An input without stamps
    changed a moment ago, and must not be kept in the journal.
    """
    folders = _folders(dataset, name)
    stamps = [_modified(folder) for folder in folders]
    video = dataset.video(name)
    files = _mask_files(video, dataset)
    for file in files:
        stamps += _size_and_time(_path(folders, file))
    video.check_prompts()
    seen = Input(video.fingerprint(), len(video), len(video.object_ids), video.height, video.width)
    notes = [*video.notes, *_label_notes(dataset, video)]
    if max(stamps) > (time.time() - SETTLED) * 1e9:
        return seen, tuple(notes)
    return seen._replace(files=files, stamps=tuple(stamps)), tuple(notes)


def _label_notes(dataset: Dataset, video: Video) -> list[Finding]:
    """Notes where labels are asked for and not every frame has one, or a label has no frame;
    `InputError` where no frame has one, as its scores would be an empty column."""
    if dataset.labels is None:
        return []
    labels = dataset.label_masks(video.name, video)
    notes = []
    if len(labels.paths) < len(video):
        notes.append(Finding("labels", f"{labels.count} were found", video.name))
    if labels.strays:
        first = labels.strays[0]
        sentence = (
            f"{counted(len(labels.strays), 'label')} of video {video.name} without a frame of the"
            f" same number, such as {first}: the run does not score it, but selection.evaluate does"
        )
        notes.append(Finding("stray-label", sentence, video.name, first.name))
    return notes


def unchanged(dataset: Dataset, name: str, known: Input) -> bool:
    """Whether a video's folders and given masks are unchanged. A frame that was overwritten in
    place is not noticed."""
    folders = _folders(dataset, name)
    try:
        stamps = [_modified(folder) for folder in folders]
        for file in known.files:
            stamps += _size_and_time(_path(folders, file))
    except (OSError, ValueError, IndexError):
        return False
    return tuple(stamps) == known.stamps


def _folders(dataset: Dataset, name: str) -> list[str]:
    frames = f"{dataset.images}/{name}" if not dataset.movies else str(dataset.frames_of(name))
    return [frames, *(f"{folder}/{name}" for folder in _mask_folders(dataset))]


def _mask_folders(dataset: Dataset) -> tuple[Path, ...]:
    corrected = (dataset.corrections,) if dataset.corrections else ()
    return (*dataset.annotations, *corrected)


def _modified(path: str) -> int:
    """The modification time in nanoseconds; 0 if there is no such folder: not every folder of masks
    has every video."""
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


def _size_and_time(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _mask_files(video: Video, dataset: Dataset) -> tuple[str, ...]:
    files = [*video.prompts.paths()[:STAMPED_MASKS], *video.corrections.paths()]
    return tuple(
        f"{number}/{path.relative_to(folder / video.name).as_posix()}"
        for path in files
        for number, folder in enumerate(_mask_folders(dataset), 1)
        if path.is_relative_to(folder / video.name)
    )


def _path(folders: list[str], file: str) -> str:
    number, _, name = file.partition("/")
    return f"{folders[int(number)]}/{name}"


class StoredWork:
    """Tells what is complete in a run directory. Its large folders are listed once.

    clear   remove what killed writers left; allowed only to the holder of the run's lease
    """

    def __init__(self, run: RunDirectory, job: RunJob, journal: Journal, clear: bool):
        self._run, self._job, self._journal = run, job, journal
        self._predictions = {
            member.name: listed(run.predictions(member.name), clear)
            for member in job.config.members
        }
        self._masks = listed(run.all_masks, clear)
        for name in WRITTEN:
            listed(run.root / name, clear)

    def is_finished(self, video: str, fingerprint: str) -> bool:
        """Whether a video is finished under its present key."""
        if video not in self._masks:
            return False
        key = self._job.video_key(fingerprint)
        known = self._journal.videos.get(video)
        if not holds(known, key, lambda: self._run.finished_stamp(video)):
            record = self._run.finished(video, key)
            if record is None or record.provenance.missing_members:
                return False
            self._journal.note_video(video, Whole(key, self._run.finished_stamp(video)))
        if not self._job.config.output.keep_soft:
            return True
        return all(self.is_whole(member, video, fingerprint) for member in self._predictions)

    def is_whole(self, member: str, video: str, fingerprint: str) -> bool:
        """Whether a member's prediction of a video is complete under its present key."""
        if video not in self._predictions[member]:
            return False
        key = self._job.pair_key(member, fingerprint)
        known = self._journal.pairs.get(member, {}).get(video)
        if holds(known, key, lambda: self._run.prediction_stamp(member, video)):
            return True
        if self._run.whole_pair(member, video, key) is None:
            return False
        self._journal.note_pair(
            member, video, Whole(key, self._run.prediction_stamp(member, video))
        )
        return True


def holds(known: Whole | None, key: str, look: Callable[[], tuple[int, ...]]) -> bool:
    """Whether something was made under ``key`` and has not changed since."""
    if known is None or known.key != key:
        return False
    try:
        return look() == known.stamp
    except OSError:
        return False


def note_done(journal: Journal, job: RunJob, inputs: Mapping[str, Input], entry: LogEntry) -> None:
    """Remember what an entry of the run's log says was done.

    A key other than the expected one means that the video has changed since the run was planned. It
    will be looked at again.
    """
    if not isinstance(entry.message, Done) or entry.video is None:
        return
    member, video, record = entry.member, entry.video, entry.message.record
    whole = Whole(record["key"], tuple(record["stamp"]))
    fingerprint = inputs[video].fingerprint
    if member:
        expected = job.pair_key(member, fingerprint)
        journal.note_pair(member, video, whole)
    else:
        expected = job.video_key(fingerprint)
        if not record["missing_members"]:
            journal.note_video(video, whole)
    if whole.key != expected:
        journal.forget_input(video)


def remove_predictions(run: RunDirectory, videos: Iterable[str], members: Sequence[str]) -> None:
    """Remove the predictions of finished videos; those of a video that lacks a member stay."""
    for name in videos:
        record = run.record(name)
        if record is None or record.provenance.missing_members:
            continue
        for member in members:
            shutil.rmtree(run.prediction(member, name), ignore_errors=True)
            for number in run.refined_in(name):
                shutil.rmtree(run.refined_prediction(member, name, number), ignore_errors=True)


def clear_leftovers(run: RunDirectory, members: Iterable[str]) -> None:
    """Remove what killed workers left half-written; only where no worker is left."""
    for folder in (*map(run.predictions, members), run.all_masks, *(run.root / n for n in WRITTEN)):
        listed(folder, clear=True)


def listed(folder: Path, clear: bool = False) -> frozenset[str]:
    """The names in a folder, read once; with ``clear``, what killed writers left is removed."""
    names: list[str] = []
    left: list[str] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            (left if entry.name.startswith(".") else names).append(entry.name)
    if clear:
        for name in left:
            if name.endswith(PARTIAL):
                shutil.rmtree(folder / name, ignore_errors=True)
                with contextlib.suppress(OSError):
                    (folder / name).unlink(missing_ok=True)
    return frozenset(names)
