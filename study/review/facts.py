"""What the pages are told: the run, a video, and what has changed since the run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from mose.dataset import Dataset
from selection.evidence import Evidence
from selection.quality import load_quality, log_odds
from selection.report.stills import object_colour
from selection.spans import stored_plan
from stseg.files import Json
from study.edits import History, VideoState, changed_frames
from study.review.acts import label_of
from study.review.desk import Desk
from study.review.pictures import ShownVideo


def run_facts(desk: Desk) -> Json:
    """The index: the run and its work list."""
    rows = desk.work_list()
    run = desk.opened.run
    stamp = run.submission.stat().st_mtime_ns if run.submission.is_file() else 0
    edited = run.overrides.stat().st_mtime_ns if run.overrides.is_file() else 0
    return {
        "run": run.root.resolve().name,
        "by": desk.by,
        "rows": [row.json() for row in rows],
        "candidates": sorted({name for row in rows for name in row.used}),
        "stale": edited > stamp,
    }


def video_facts(desk: Desk, page: str) -> Json:
    """Everything of a video but its pictures."""
    opened, name = desk.open(page), desk.name_of(page)
    told, record = desk.opened.history(name), opened.record
    video = opened.video
    given = {str(n): t for t in video.prompts for n in video.prompts.ids(t)}
    return {
        "run": run_key(desk),
        "video": name,
        "by": desk.by,
        "version": told.edits,
        "frames": list(video.frame_names),
        "height": video.height,
        "width": video.width,
        "objects": [
            {"id": n, "colour": object_colour(n), "name": title}
            for n, title in titles(desk.opened.dataset, name, record.objects).items()
        ],
        "given": given,
        "layers": [asdict(layer) for layer in opened.layers],
        "winner": record.winner,
        "reason": record.reason,
        "suggestion": record.suggestion.json() if record.suggestion else None,
        "plan": stored_plan(told.present.plan),
        "absent": {str(n): parts for n, parts in told.present.absent.items()},
        "corrections": corrections_of(told.present),
        "undo": len(told.done) > 1,
        "redo": bool(told.undone),
        "log": log_of(desk, name),
        "timelines": timelines(desk, opened),
        "continuation": desk.continuations.progress(name).json(),
    }


def run_key(desk: Desk) -> str:
    """What tells this run from others that the same browser has shown under this address."""
    place = desk.opened.run.root.resolve().as_posix()
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def titles(dataset: Dataset, video: str, objects: Sequence[int]) -> dict[int, str]:
    """What each object is called: by its id, and its category where the data set's meta file has
    one."""
    tracks = dataset.meta[video].tracks if video in dataset.meta else {}
    categories = {n: track.category for n, track in tracks.items()}
    return {n: f"object {n} ({c})" if (c := categories.get(n)) else f"object {n}" for n in objects}


def corrections_of(state: VideoState) -> Json:
    """Frame name -> what is corrected on it, with a label that changes with the drawing."""
    return {
        frame: {"ids": list(drawn.ids), "gone": list(drawn.gone), "label": label_of(drawn)}
        for frame, drawn in state.corrections.items()
    }


def log_of(desk: Desk, name: str) -> list[Json]:
    """Who changed what, and when, the latest first."""
    lines = desk.opened.log().get(name, [])
    keys = ("time", "by", "kind", "candidate", "object", "frames")
    return [{key: line[key] for key in keys} for line in reversed(lines)]


def timelines(desk: Desk, opened: ShownVideo) -> Json:
    """Per frame: where members differ, and per object how good the mask of each candidate is
    expected to be; in percent, -1 where nothing is known."""
    path = desk.opened.run.evidence_path(opened.video.name)
    if not path.is_file():
        return {"disputed": [], "candidates": [], "quality": {}}
    evidence = Evidence.load(path)
    quality = expected_j(evidence)
    return {
        "disputed": percent(evidence.disputed),
        "candidates": list(evidence.candidates),
        "quality": {
            str(n): [percent(quality[:, row, k]) for row in range(len(evidence.candidates))]
            for k, n in enumerate(evidence.object_ids)
        },
    }


def expected_j(evidence: Evidence) -> np.ndarray:
    """``(T, C, N)`` in (0, 1): the quality of masks by their priors and by how far the members'
    masks on the same frame overlap them; NaN where a mask is given, and before."""
    support = evidence["support"]
    rows = np.moveaxis(support, 1, 0).reshape(len(evidence.candidates), -1)
    quality = load_quality().expected_j(evidence.priors, log_odds(rows))
    quality = np.moveaxis(quality.reshape(rows.shape[0], len(support), -1), 0, 1)
    return np.where(np.isnan(evidence["agreement_j"]), np.nan, quality)


def percent(values: np.ndarray) -> list[int]:
    """``(T,)`` in [0, 1] as whole percents, -1 for NaN."""
    return np.where(np.isnan(values), -1, np.rint(100 * np.nan_to_num(values))).astype(int).tolist()


def table_of_edits(desk: Desk) -> list[Json]:
    """A row per video that differs from what the run made."""
    rows = []
    for name in sorted(desk.opened.log()):
        told = desk.opened.history(name)
        if told.present == told.own:
            continue
        names = desk.opened.video(name).frame_names
        last = desk.opened.log()[name][-1]
        rows.append(
            {
                "video": name,
                "edits": told.edits,
                "by": sorted({line["by"] for line in desk.opened.log()[name]}),
                "time": last["time"],
                "frames": len(changed_frames(told.own, told.present, names)),
                "of": len(names),
                "corrected": len(told.present.corrections),
                "chosen": chosen(told),
                "continued": told.present.base > 0,
            }
        )
    return rows


def chosen(told: History) -> Sequence[str]:
    """Objects whose candidates are others than the run chose: "3: cutie to xmem"."""
    words = []
    for object_id, spans in told.present.plan.items():
        before = told.own.plan[object_id]
        if spans != before:
            old, new = (", ".join(dict.fromkeys(s.candidate for s in p)) for p in (before, spans))
            words.append(f"{object_id}: {old} to {new}")
    return words
