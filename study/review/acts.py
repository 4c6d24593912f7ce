"""What a page can do to a video. Each function takes the desk, the page and what was sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stseg.errors import InputError
from stseg.files import Json
from study.apply_edit import apply_edit, check_predictions, choice_of
from study.apply_override import Override, check_wish, chosen, overridden
from study.drawings import merged, without_objects
from study.edits import DrawnFrame, Edit, EditKind, History, VideoState, now
from study.review.desk import Desk, Stale
from study.review.id_runs import decode_runs
from study.review.work_list import Mark


@dataclass(frozen=True)
class Drawing:
    """A mask that somebody drew.

    frame   is the index of its frame
    ids     are the objects that it is about; those without a pixel are gone
    before  is the name of the drawing that the page knew on that frame, "" for none
    runs    are the ids, see `id_runs`
    """

    frame: int
    ids: tuple[int, ...]
    before: str
    runs: bytes


def _make(desk: Desk, name: str, edit_of: Callable[[History], Edit]) -> Json:
    with desk.changing():
        told = desk.opened.history(name)
        edit = edit_of(told)
        if edit.state == told.present and edit.kind is EditKind.CHOOSE:
            return {"version": told.edits}
        apply_edit(desk.opened, edit)
    desk.work_list()
    return {"version": told.edits + 1}


def choose(desk: Desk, page: str, sent: Json) -> Json:
    """Another candidate for the video, an object or some frames.

    It is put into the present state, whoever made that: what it does not touch stays.
    """
    wish = wish_of(desk, page, sent)
    name = wish.video
    return _make(desk, name, lambda told: overridden(desk.opened, wish, desk.by))


def wish_of(desk: Desk, page: str, sent: Json) -> Override:
    """What a page wants to have chosen."""
    frames = sent.get("frames")
    return Override(
        desk.name_of(page),
        str(sent["candidate"]),
        None if sent.get("object") is None else int(sent["object"]),
        None if frames is None else (int(frames[0]), int(frames[1])),
    )


def preview(
    desk: Desk, page: str, indices: Sequence[int], wish: Override, height: int
) -> list[np.ndarray]:
    """``(h, w) uint8`` ids that frames would have after a choice."""
    opened, told = desk.open(page), desk.opened.history(wish.video)
    check_wish(opened.record, wish)
    state = chosen(told.present, wish, opened.record.frames)
    kind = EditKind.CHOOSE
    edit = Edit("", "", wish.video, kind, wish.candidate, wish.object_id, wish.frames, state)
    choice = choice_of(opened.record, edit)
    return [opened.preview(index, choice, height) for index in indices]


def undo(desk: Desk, page: str, sent: Json) -> Json:
    """Take back the last edit of the video, whoever made it; `Stale` where the page is older."""
    name = desk.name_of(page)

    def edit_of(told: History) -> Edit:
        desk.up_to_date(name, int(sent["version"]))
        if len(told.done) < 2:
            raise InputError("there is nothing to undo")
        return Edit(now(), desk.by, name, EditKind.UNDO, None, None, None, told.done[-2])

    return _make(desk, name, edit_of)


def redo(desk: Desk, page: str, sent: Json) -> Json:
    """Have back what was undone last."""
    name = desk.name_of(page)

    def edit_of(told: History) -> Edit:
        desk.up_to_date(name, int(sent["version"]))
        if not told.undone:
            raise InputError("there is nothing to have back")
        return Edit(now(), desk.by, name, EditKind.REDO, None, None, None, told.undone[-1])

    return _make(desk, name, edit_of)


def correct(desk: Desk, page: str, drawing: Drawing) -> Json:
    """A mask drawn on a frame, in place of the selected one there.

    Drawings of different objects on one frame are merged; `Stale` where somebody else drew one of
    these objects since the page was made.
    """
    name = desk.name_of(page)
    opened = desk.open(page)
    video = opened.video
    if not 0 <= drawing.frame < len(video):
        raise InputError(f"video {name} has no frame {drawing.frame}")
    known = opened.record.objects
    foreign = sorted(set(drawing.ids) - set(known))
    if foreign or not drawing.ids:
        raise InputError(f"name the objects that are corrected, of {', '.join(map(str, known))}")
    mask = decode_runs(drawing.runs, (video.height, video.width), known)
    frame = video.frame_names[drawing.frame]
    folder = desk.opened.run.drawn(name)

    def edit_of(told: History) -> Edit:
        before = told.present.corrections.get(frame)
        if overlaps(before, drawing):
            raise Stale("somebody else has drawn this object on this frame meanwhile")
        drawn = merged(folder, before, mask, drawing.ids)
        return _corrected(desk, name, told.present, drawing.frame, drawn, drawing.ids)

    return _make(desk, name, edit_of)


def overlaps(before: DrawnFrame | None, drawing: Drawing) -> bool:
    """Whether a frame has a drawing of one of the same objects that the page did not know."""
    if before is None or drawing.before == label_of(before):
        return False
    return bool(set(before.ids) & set(drawing.ids))


def label_of(drawn: DrawnFrame | None) -> str:
    """A short text that differs between drawings of one frame; empty for none."""
    if drawn is None:
        return ""
    gone = ",".join(map(str, drawn.gone))
    return f"{drawn.mask or ''}-{','.join(map(str, drawn.ids))}-{gone}"


def leave(desk: Desk, page: str, sent: Json) -> Json:
    """Take the drawing of an object, or of all, from a frame."""
    name = desk.name_of(page)
    frame = int(sent["frame"])
    names = desk.open(page).video.frame_names
    if not 0 <= frame < len(names):
        raise InputError(f"video {name} has no frame {frame}")
    folder = desk.opened.run.drawn(name)

    def edit_of(told: History) -> Edit:
        before = told.present.corrections.get(names[frame])
        if before is None:
            raise InputError(f"frame {names[frame]} has no correction")
        ids = before.ids if sent.get("object") is None else (int(sent["object"]),)
        left = without_objects(folder, before, ids)
        return _corrected(desk, name, told.present, frame, left, ids)

    return _make(desk, name, edit_of)


def _corrected(
    desk: Desk,
    name: str,
    present: VideoState,
    frame: int,
    drawn: DrawnFrame | None,
    ids: tuple[int, ...],
) -> Edit:
    video = desk.opened.video(name)
    corrections = dict(present.corrections)
    stem = video.frame_names[frame]
    corrections.pop(stem, None)
    if drawn is not None:
        corrections[stem] = drawn
        for object_id in ids:
            given = next((t for t in video.prompts if object_id in video.prompts.ids(t)), None)
            if given is None or frame <= given:
                raise InputError(
                    f"object {object_id} is given on frame {given}: it can be corrected after it"
                )
    state = replace(present, corrections=dict(sorted(corrections.items())))
    check_predictions(desk.opened, name, present, state)
    only = ids[0] if len(ids) == 1 else None
    frames = (frame, frame + 1)
    return Edit(now(), desk.by, name, EditKind.CORRECT, None, only, frames, state)


def mark(desk: Desk, page: str, sent: Json) -> Json:
    """Say that a video is done, open or undecided."""
    try:
        said = Mark(sent["mark"])
    except ValueError:
        raise InputError(f"a video is {', '.join(Mark)}, not {sent['mark']!r}") from None
    desk.mark(page, said)
    return {"mark": said.value}


def start(desk: Desk, page: str, sent: Json) -> Json:
    """Run the members again: from the first new correction, or over the ``whole`` video."""
    name = desk.name_of(page)
    with desk.changing():
        desk.continuations.start(name, desk.opened.history(name).present, bool(sent.get("whole")))
    return desk.continuations.progress(name).json()


def drop(desk: Desk, page: str, sent: Json) -> Json:
    """Stop a continuation, or drop its result."""
    name = desk.name_of(page)
    desk.continuations.drop(name)
    return desk.continuations.progress(name).json()


def accept(desk: Desk, page: str, sent: Json) -> Json:
    """Put the result of a continuation in place."""
    name = desk.name_of(page)

    def edit_of(told: History) -> Edit:
        desk.up_to_date(name, int(sent["version"]))
        return desk.continuations.accepted(name, told.present, desk.by)

    return _make(desk, name, edit_of)
