"""Replaces the selected masks by those of another candidate, and restores them.

The masks of members come from the stored predictions (``--keep-soft``); the pseudo-label is always
there. At the first override of a video the run's own selection is kept under ``overridden/``, so
that it can be restored. Every change is a line of ``overrides.jsonl``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from ensemble.config import RunConfig, load_config, selection_setup
from ensemble.execution.lease import held
from ensemble.finishing.video import open_prediction, write_selected
from ensemble.plan import open_data
from ensemble.results import write_tables
from ensemble.storage.run_directory import RunDirectory, existing_run
from mose.dataset import Dataset
from selection.describe import describe
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.reasons import Ground, Reason
from selection.record import SelectionRecord, read_record, read_records
from selection.selectors import Choice
from selection.spans import ObjectSpans, StoredPlan, candidates_of, most_used, stored_plan, whole
from selection.summary import summarise
from stseg.errors import InputError, unknown
from stseg.failures import Failure
from stseg.files import read_json, write_json


@dataclass(frozen=True)
class Override:
    """One override: ``candidate`` for the video, or for one object; None restores the run's own
    selection."""

    video: str
    candidate: str | None
    object_id: int | None = None


@dataclass(frozen=True)
class OverrideLine:
    """A line of ``overrides.jsonl``.

    time            of the change, UTC, in ISO format
    candidate       that was put in place, None where the run's own selection was restored
    object          that it was for, None for all
    before, after   the plans as records store them
    """

    time: str
    video: str
    candidate: str | None
    object: int | None
    before: StoredPlan
    after: StoredPlan


def apply_overrides(root: str | Path, wishes: Sequence[Override]) -> list[OverrideLine]:
    """Rewrite masks, records, summary, zip and report of the run in ``root``.

    Returns the lines added to the log. All overrides are checked before anything is written.
    Raises `InputError` for a folder that is no run, a video, candidate or object that is not
    there, and for a member whose predictions were not kept.
    """
    run = existing_run(root)
    config = load_config(run.config)
    for wish in wishes:
        check(run, wish)
    with held(run.root):
        dataset = open_data(config, Path("runs"))
        lines = [apply(config, dataset, run, wish) for wish in wishes]
        rewrite_results(config, run)
    return lines


def check(run: RunDirectory, wish: Override) -> None:
    """Raise `InputError` if an override cannot be applied."""
    record = record_of(run, wish.video)
    if wish.candidate is None:
        if not run.overridden_record(wish.video).is_file():
            raise InputError(f"video {wish.video} was not overridden: there is nothing to restore")
        if wish.object_id is not None:
            raise InputError("what the run selected is restored for a whole video: no object")
        return
    names = [row.name for row in record.candidates]
    if wish.candidate not in names:
        raise unknown("candidate", wish.candidate, names, f" of video {wish.video}")
    if wish.object_id is not None and wish.object_id not in record.objects:
        raise InputError(
            f"video {wish.video} has no object {wish.object_id}: it has"
            f" {', '.join(map(str, record.objects))}"
        )
    for name in sorted(used(new_plan(record, wish)) - {PSEUDO_LABEL}):
        if not (run.prediction(name, wish.video) / "manifest.json").is_file():
            raise InputError(
                f"the predictions of {name} on video {wish.video} were not kept: run again with"
                f" --keep-soft, or choose {PSEUDO_LABEL}"
            )


def apply(config: RunConfig, dataset: Dataset, run: RunDirectory, wish: Override) -> OverrideLine:
    """Apply one override; returns its line of the log."""
    before = record_of(run, wish.video)
    if wish.candidate is None:
        restore(run, wish.video)
    else:
        check(run, wish)  # an earlier wish of the same call may have changed the plan
        keep_original(run, wish.video)
        plan = new_plan(before, wish)
        video = dataset.video(wish.video)
        evidence = Evidence.load(run.evidence_path(wish.video))
        choice = choose(before, wish, plan)
        with ExitStack() as stack:
            predictions = {
                name: open_prediction(run.prediction(name, wish.video), stack)
                for name in sorted(used(plan) - {PSEUDO_LABEL})
            }
            write_selected(run, video, choice, predictions, lambda: None)
        record = describe(selection_setup(config), evidence, choice, before.provenance)
        record = replace(record, cycle=before.cycle, trials=before.trials, overridden=True)
        write_json(run.record_path(wish.video), record.json())
    line = OverrideLine(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        video=wish.video,
        candidate=wish.candidate,
        object=wish.object_id,
        before=stored_plan(before.plan),
        after=stored_plan(record_of(run, wish.video).plan),
    )
    with open(run.overrides, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(line)) + "\n")
    return line


def new_plan(record: SelectionRecord, wish: Override) -> ObjectSpans:
    """The plan of a record with the override in it."""
    plan = dict(record.plan)
    for object_id in plan:
        if wish.candidate is not None and wish.object_id in (None, object_id):
            plan[object_id] = whole(wish.candidate, record.frames)
    return plan


def used(plan: ObjectSpans) -> set[str]:
    """Every candidate that a plan names."""
    return set(candidates_of(chain.from_iterable(plan.values())))


def choose(record: SelectionRecord, wish: Override, plan: ObjectSpans) -> Choice:
    """The choice that a changed plan amounts to; its winner has most objects and frames."""
    winner = most_used(chain.from_iterable(plan.values()), str(wish.candidate))
    reason = Reason(Ground.BY_HAND, candidate=str(wish.candidate), object_id=wish.object_id)
    absent = {
        object_id: parts
        for object_id, parts in record.absent.items()
        if wish.object_id not in (None, object_id)  # a mask chosen by hand stays as it is
    }
    return Choice(winner, dict(record.scores), 0.0, reason, plan, absent)


def record_of(run: RunDirectory, video: str) -> SelectionRecord:
    """The selection record of a video; `InputError` where there is none."""
    path = run.record_path(video)
    if not path.is_file():
        names = [path.stem for path in run.record_paths()]
        raise unknown("video", video, names, f" in run {run.root}")
    return read_record(path)


def keep_original(run: RunDirectory, video: str) -> None:
    """Set aside what the run selected, once."""
    target = run.overridden_record(video)
    if target.is_file():
        return
    folder = run.overridden_masks(video)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run.masks(video), folder)
    shutil.copyfile(run.record_path(video), target)


def restore(run: RunDirectory, video: str) -> None:
    """Put back what the run selected."""
    saved = run.overridden_record(video)
    shutil.rmtree(run.masks(video), ignore_errors=True)
    shutil.move(run.overridden_masks(video), run.masks(video))
    shutil.move(saved, run.record_path(video))
    for path in run.masks(video).iterdir():
        path.touch()  # newer than the pictures of the override


def rewrite_results(config: RunConfig, run: RunDirectory) -> None:
    """Rewrite everything that is made from all records: CSV, summary, zip, report."""
    records = read_records(run.root)
    stored = (read_json(run.failures) or {}).get("failures", [])
    failures = [Failure.parse(row) for row in stored]
    seconds = (read_json(run.summary) or {}).get("seconds", 0.0)
    summary = summarise(records, failures, seconds)
    write_tables(config, run, records, summary)
