"""Brings a video of a run to a state that somebody wants, so that a crash at any moment is mended.

What the run itself had selected is kept under ``overridden/`` at the first change of a video. A
change is written down before anything is touched; whoever works on the run next finishes one that
was broken off.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from ensemble.config import RunConfig, load_config, selection_setup
from ensemble.finishing.scoring import WrittenScore
from ensemble.finishing.video import open_prediction, selected_frame
from ensemble.pipeline import with_corrections_by_hand
from ensemble.plan import open_data
from ensemble.storage.run_directory import RunDirectory, existing_run
from mose import Video
from mose.dataset import Dataset
from mose.labels import NoLabels
from mose.masks import read_mask, write_mask
from selection.describe import describe
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.reasons import Ground, Reason
from selection.record import SelectionRecord, read_record
from selection.selectors import Choice
from selection.spans import ObjectSpans, candidates_of, most_used
from stseg.errors import InputError, unknown
from stseg.files import Json, appearing, read_json, write_json
from study.drawings import keep_corrections, write_corrections
from study.edits import (
    Edit,
    EditKind,
    History,
    VideoState,
    changed_frames,
    history,
    read_edits,
)


@dataclass(frozen=True)
class OpenRun:
    """A run that somebody changes.

    dataset   is the one that it ran over, with the corrections that it ran with
    """

    run: RunDirectory
    config: RunConfig
    dataset: Dataset

    @classmethod
    def at(cls, root: str | Path) -> OpenRun:
        """The run in a folder; `InputError` where there is none, or its data set is gone."""
        run = existing_run(root)
        config = load_config(run.config)
        return cls(run, config, open_data(config, Path("runs")))

    def video(self, name: str, state: VideoState | None = None) -> Video:
        """A video with the corrections of a state in place of those that the run had."""
        if state is None:
            return with_corrections_by_hand(self.dataset, self.run).video(name)
        corrected = self.run.all_corrections if state.corrections else None
        return replace(self.dataset, corrections=corrected).video(name)

    def record(self, video: str) -> SelectionRecord:
        """The selection record of a video; `InputError` where there is none."""
        path = self.run.record_path(video)
        if not path.is_file():
            names = [path.stem for path in self.run.record_paths()]
            raise unknown("video", video, names, f" in run {self.run.root}")
        return read_record(path)

    def own_state(self, video: str) -> VideoState:
        """What the run itself made of a video."""
        record = self.record(video)
        kept = read_json(self.run.own_state(video)) if record.overridden else None
        if kept is not None:
            return VideoState.parse(kept, record.frames)
        state = VideoState.of(record)
        if not record.provenance.corrections:
            return state
        corrections = keep_corrections(self.run.drawn(video), self.video(video))
        return replace(state, corrections=corrections)

    def history(self, video: str) -> History:
        """The states of a video, from the log."""
        own, record = self.own_state(video), self.record(video)
        edits = [Edit.parse(line, record.frames) for line in self.log().get(video, ())]
        told = history(own, edits)
        if not record.overridden and told.present != own:
            return History((own,), (), told.edits, fresh=True)
        return told

    def log(self) -> dict[str, list[Json]]:
        """Video -> its edits, as they are stored."""
        return read_edits(self.run.overrides)


def apply_edit(opened: OpenRun, edit: Edit, advance: Callable[[], None] = lambda: None) -> Edit:
    """Make an edit. Only for the holder of the run's lease.

    advance   is called after every frame that was written
    """
    past = opened.history(edit.video)
    if past.fresh:
        edit = replace(edit, fresh=True)
        shutil.rmtree(opened.run.continuation(edit.video, 0), ignore_errors=True)
    path = opened.run.unfinished_edit
    path.parent.mkdir(exist_ok=True)
    write_json(path, edit.json())
    _finish(opened, edit, past, advance)
    return edit


def finish_broken_off(opened: OpenRun) -> None:
    """Finish a change over which somebody died. Only for the holder of the run's lease."""
    stored = read_json(opened.run.unfinished_edit)
    if stored is None:
        return
    frames = opened.record(stored["video"]).frames
    edit = Edit.parse(stored, frames)
    logged = opened.log().get(edit.video, [])
    if logged and logged[-1] == json.loads(json.dumps(edit.json())):
        opened.run.unfinished_edit.unlink()
        return
    past = opened.history(edit.video)
    _finish(opened, edit, replace(past, done=(*past.done[:1], past.present)), lambda: None, True)


def _finish(
    opened: OpenRun,
    edit: Edit,
    past: History,
    advance: Callable[[], None],
    again: bool = False,
) -> None:
    run = opened.run
    if edit.kind in (EditKind.UNDO, EditKind.RESTORE) and edit.state == past.own:
        exchange_bases(opened, edit.video, past.present.base, 0)
        restore(run, edit.video)
        write_corrections(run, edit.video, edit.state)
    else:
        keep_original(run, edit.video, past.own)
        exchange_bases(opened, edit.video, past.present.base, edit.state.base)
        write_corrections(run, edit.video, edit.state)
        _rewrite(opened, edit, None if again else past.present, advance)
    # An edit changes exclusive masks alone: those of single objects would be others.
    shutil.rmtree(run.objects(edit.video), ignore_errors=True)
    with open(run.overrides, "a", encoding="utf-8") as file:
        file.write(json.dumps(edit.json()) + "\n")
        file.flush()
        os.fsync(file.fileno())
    run.unfinished_edit.unlink()


def _rewrite(
    opened: OpenRun, edit: Edit, before: VideoState | None, advance: Callable[[], None]
) -> None:
    """Write the masks that differ from those of the state ``before``, and the record."""
    run, state = opened.run, edit.state
    video = opened.video(edit.video, state)
    names = video.frame_names
    changed = set(range(len(names))) if before is None else changed_frames(before, state, names)
    record = opened.record(edit.video)
    choice = choice_of(record, edit)
    masks = run.masks(edit.video)
    evidence = Evidence.load(run.evidence_path(edit.video))
    written = written_score(opened, video) if evidence.labelled else None
    with ExitStack() as stack:
        predictions = {
            name: open_prediction(run.current_prediction(name, edit.video), stack)
            for name in sorted(members_needed(state.plan, changed))
        }
        folder = stack.enter_context(appearing(masks))
        for index, name in enumerate(names):
            target, old = folder / f"{name}.png", masks / f"{name}.png"
            if index in changed or not old.is_file():
                ids = selected_frame(run, video, choice, predictions, index)
                write_mask(target, ids)
                advance()
            else:
                os.link(old, target)
            if written and written.counts(index):
                written.add(index, read_mask(target))
    corrected = {frame: drawn.ids for frame, drawn in state.corrections.items()}
    made = base_record(opened, edit.video, state.base)
    provenance = replace(made.provenance, corrections=corrected)
    scores = written.by_object() if written else None
    told = describe(selection_setup(opened.config), evidence, choice, provenance, scores)
    reason = record.reason if state.plan == record.plan else told.reason
    told = replace(told, reason=reason, cycle=made.cycle, disputes=made.disputes, overridden=True)
    write_json(run.record_path(edit.video), told.json())


def written_score(opened: OpenRun, video: Video) -> WrittenScore | None:
    """What scores the written masks of a video; None where its labels are there no more."""
    if opened.dataset.labels is None:
        return None
    try:
        return WrittenScore(video, opened.dataset.label_masks(video.name, video))
    except NoLabels:
        return None


def base_record(opened: OpenRun, video: str, base: int) -> SelectionRecord:
    """The record of the run, or of the continuation, whose members' masks are in place."""
    if base:
        return read_record(RunDirectory(opened.run.continuation(video, base)).record_path(video))
    return read_record(opened.run.overridden_record(video))


def members_needed(plan: ObjectSpans, frames: set[int]) -> set[str]:
    """The members whose predictions a plan needs on some frames."""
    spans = [
        span
        for parts in plan.values()
        for span in parts
        if any(span.start <= index < span.stop for index in frames)
    ]
    return set(candidates_of(spans)) - {PSEUDO_LABEL}


def choice_of(record: SelectionRecord, edit: Edit) -> Choice:
    """The choice that a changed plan amounts to; its winner has most objects and frames."""
    state = edit.state
    winner = most_used(chain.from_iterable(state.plan.values()), record.winner)
    named = edit.candidate or winner
    reason = Reason(Ground.BY_HAND, candidate=named, object_id=edit.object)
    return Choice(winner, dict(record.scores), 0.0, reason, state.plan, state.absent)


def check_predictions(opened: OpenRun, video: str, before: VideoState, after: VideoState) -> None:
    """Raise `InputError` where a state needs predictions that the run did not keep."""
    if before.base != after.base:
        return
    names = opened.video(video).frame_names
    for member in sorted(members_needed(after.plan, changed_frames(before, after, names))):
        if not (opened.run.prediction(member, video) / "manifest.json").is_file():
            raise InputError(
                f"the predictions of {member} on video {video} were not kept: run again with"
                f" --keep-soft, or choose {PSEUDO_LABEL}"
            )


def keep_original(run: RunDirectory, video: str, own: VideoState) -> None:
    """Set aside what the run selected, unless that was done since the run made the video."""
    target = run.overridden_record(video)
    if target.is_file() and read_record(run.record_path(video)).overridden:
        return
    with appearing(run.overridden_masks(video)) as folder:
        shutil.copytree(run.masks(video), folder, dirs_exist_ok=True)
    run.own_state(video).parent.mkdir(parents=True, exist_ok=True)
    write_json(run.own_state(video), own.json())
    shutil.copyfile(run.record_path(video), target)


def restore(run: RunDirectory, video: str) -> None:
    """Put back what the run selected; once more does no harm."""
    saved, masks = run.overridden_record(video), run.overridden_masks(video)
    if masks.is_dir():
        shutil.rmtree(run.masks(video), ignore_errors=True)
        shutil.move(masks, run.masks(video))
    if saved.is_file():
        shutil.move(saved, run.record_path(video))
    for path in run.masks(video).iterdir():
        path.touch()  # newer than the pictures of the override


def exchange_bases(opened: OpenRun, video: str, present: int, wanted: int) -> None:
    """Put the members' masks of another base in place, part by part; once more does no harm."""
    if present == wanted:
        return
    out = RunDirectory(opened.run.continuation(video, present))
    back = RunDirectory(opened.run.continuation(video, wanted))
    for part, old, new in zip(
        *(base_parts(opened, where, video) for where in (opened.run, out, back)), strict=True
    ):
        if not new.exists():
            continue
        if part.exists():
            old.parent.mkdir(parents=True, exist_ok=True)
            os.rename(part, old)
        part.parent.mkdir(parents=True, exist_ok=True)
        os.rename(new, part)


def base_parts(opened: OpenRun, run: RunDirectory, video: str) -> list[Path]:
    """Everything in a run folder that changes with the members' masks of a video."""
    members = [run.current_prediction(m.name, video) for m in opened.config.members]
    return [*members, run.pseudo_labels(video), run.evidence_path(video), run.stills(video)]
