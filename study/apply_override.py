"""Replaces the selected masks by those of another candidate, and restores them.

The masks of members come from the stored predictions (``--keep-soft``); the pseudo-label is always
there. Every change is a line of ``overrides.jsonl``, see `study.edits`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ensemble.config import RunConfig
from ensemble.execution.lease import held
from ensemble.results import write_tables
from ensemble.storage.run_directory import RunDirectory
from selection.record import SelectionRecord, read_records
from selection.spans import spliced, without
from selection.summary import summarise
from stseg.errors import InputError, unknown
from stseg.failures import Failure
from stseg.files import read_json
from study.apply_edit import OpenRun, apply_edit, check_predictions, finish_broken_off
from study.edits import Edit, EditKind, History, VideoState, now


@dataclass(frozen=True)
class Override:
    """One override.

    candidate   is what to take, None to restore the run's own selection
    object_id   is the object that it is for, None for all
    frames      are the first and the one after the last, None for all
    """

    video: str
    candidate: str | None
    object_id: int | None = None
    frames: tuple[int, int] | None = None


def apply_overrides(root: str | Path, wishes: Sequence[Override], by: str = "") -> list[Edit]:
    """Rewrite masks, records, summary, zip and report of the run in ``root``.

    by   who wants it

    Returns the lines added to the log. All overrides are checked before anything is written.
    Raises `InputError` for a folder that is no run, a video, candidate, object or frame that is not
    there, and for a member whose predictions were not kept.
    """
    opened = OpenRun.at(root)
    for wish in wishes:
        overridden(opened, wish, by)
    with held(opened.run.root):
        finish_broken_off(opened)
        # An earlier wish of the same call may have changed the plan: each is checked again.
        edits = [apply_edit(opened, overridden(opened, wish, by)) for wish in wishes]
        rewrite_results(opened.config, opened.run)
    return edits


def overridden(opened: OpenRun, wish: Override, by: str) -> Edit:
    """The change that an override amounts to; `InputError` if it cannot be made."""
    record = opened.record(wish.video)
    told = opened.history(wish.video)
    if wish.candidate is None:
        return _restored(opened, wish, told, by)
    check_wish(record, wish)
    state = chosen(told.present, wish, record.frames)
    check_predictions(opened, wish.video, told.present, state)
    kind = EditKind.CHOOSE
    who = (by, wish.video, kind, wish.candidate, wish.object_id, wish.frames)
    return Edit(now(), *who, state)


def _restored(opened: OpenRun, wish: Override, told: History, by: str) -> Edit:
    if not opened.run.overridden_record(wish.video).is_file():
        raise InputError(f"video {wish.video} was not overridden: there is nothing to restore")
    if wish.object_id is not None or wish.frames is not None:
        raise InputError(
            "what the run selected is restored for a whole video: name no object and no frames"
        )
    return Edit(now(), by, wish.video, EditKind.RESTORE, None, None, None, told.own)


def check_wish(record: SelectionRecord, wish: Override) -> None:
    """Raise `InputError` for a candidate, an object or frames that the video does not have."""
    video, names = wish.video, [row.name for row in record.candidates]
    if wish.candidate not in names:
        raise unknown("candidate", str(wish.candidate), names, f" of video {video}")
    if wish.object_id is not None and wish.object_id not in record.objects:
        raise InputError(
            f"video {video} has no object {wish.object_id}: it has"
            f" {', '.join(map(str, record.objects))}"
        )
    if wish.frames is not None:
        start, stop = wish.frames
        if not 0 <= start < stop <= record.frames:
            raise InputError(
                f"video {video} has frames 0 to {record.frames - 1}, not {start} to {stop - 1}:"
                " name the first and the last of those that you mean"
            )


def chosen(state: VideoState, wish: Override, frames: int) -> VideoState:
    """A state with an override in it. A mask that is chosen by hand stays as it is: its object
    does not count as absent any more."""
    plan, absent = dict(state.plan), dict(state.absent)
    start, stop = wish.frames or (0, frames)
    for object_id in plan:
        if wish.candidate is not None and wish.object_id in (None, object_id):
            plan[object_id] = spliced(plan[object_id], start, stop, wish.candidate)
            left = without(absent.pop(object_id, ()), start, stop)
            absent |= {object_id: left} if left else {}
    return replace(state, plan=plan, absent=absent)


def rewrite_results(config: RunConfig, run: RunDirectory) -> None:
    """Rewrite everything that is made from all records: CSV, summary, zip, report."""
    records = read_records(run.root)
    stored = (read_json(run.failures) or {}).get("failures", [])
    failures = [Failure.parse(row) for row in stored]
    seconds = (read_json(run.summary) or {}).get("seconds", 0.0)
    summary = summarise(records, failures, seconds)
    write_tables(config, run, records, summary)
