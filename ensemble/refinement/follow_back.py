"""Following members back: the only check against a true mask that needs no labels.

Each member runs over the video backwards, from its own last mask of every object. The mask that
arrives at the frame on which the object was given is scored against the given mask. These are extra
pairs, which run after the others: only for videos on which `agreement` is unsure, and only within
``selection.cycle_budget``.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble.config import RunConfig, calibration_of, selection_setup
from ensemble.execution import lease
from ensemble.execution.driver import run_pairs
from ensemble.finishing.objects import write_selected_objects
from ensemble.finishing.video import open_prediction, write_selected
from ensemble.job import MemberWorker, RunJob
from ensemble.scheduling.messages import GiveUp, MemberSpec, Pair, Workload
from ensemble.storage.predictions import Prediction
from ensemble.storage.run_directory import RunDirectory
from mose import Video
from mose.video import Prompts
from selection.describe import describe
from selection.evidence import Evidence
from selection.metrics import Regions, object_score
from selection.policies import SelectionOptions
from selection.record import read_record
from selection.selectors import select
from stseg.cli import print_line
from stseg.files import read_json, write_json

if TYPE_CHECKING:
    from ensemble.execution.executor import Executor
    from ensemble.plan import Plan
    from ensemble.scheduling.messages import Attempt, JobRecord

NOT_FOLLOWING = ("folder",)
"""Adapters that only serve stored masks, and cannot be run backwards."""


def follow_back(
    config: RunConfig,
    plan: Plan,
    run: RunDirectory,
    specs: Sequence[MemberSpec],
    make_executor: Callable[[RunJob], Executor],
) -> list[GiveUp]:
    """Run the extra pairs of a run whose videos are finished, select again, print the cost.

    Returns what was given up. Videos that were followed back before are not run again.
    """
    followers = [m.name for m in config.members if m.adapter not in NOT_FOLLOWING]
    margins = {
        name: margin
        for name in plan.inputs
        if all((run.prediction(member, name) / "manifest.json").is_file() for member in followers)
        and (margin := open_margin(run, name, config.selection)) is not None
    }
    units = {name: video.units for name, video in plan.inputs.items()}
    total = sum(units.values()) * len(config.members)
    chosen = affordable(margins, units, len(followers), config.selection, total)
    pairs = [Pair(member, name, units[name]) for name in chosen for member in followers]
    job = CycleJob(**{f.name: getattr(plan.job, f.name) for f in dataclasses.fields(plan.job)})
    start = time.monotonic()
    lost: list[GiveUp] = []
    if pairs:
        limits, fence = config.execution.limits, f"{job.lease}-back-"
        work = Workload(specs, pairs, limits=limits, fence=fence)
        outcome = run_pairs(make_executor(job), work)
        lost = outcome.lost_to("cycle")
    share = sum(pair.units for pair in pairs) / max(total, 1)
    print_line(
        f"cycle: {len(chosen)} of {len(plan.inputs)} videos are unsure (margin below"
        f" {config.selection.cycle_margin}): {len(pairs)} extra pairs, {100 * share:.0f} % more"
        f" work, {time.monotonic() - start:.1f} s"
    )
    return lost


def open_margin(run: RunDirectory, name: str, options: SelectionOptions) -> float | None:
    """The margin of `agreement` on a finished video that was not followed back; otherwise None."""
    path = run.evidence_path(name)
    if not path.is_file() or run.record(name) is None:
        return None
    evidence = Evidence.load(path)
    if len(evidence.members) < 2 or not np.isnan(evidence.cycle).all():
        return None
    plain = dataclasses.replace(options, policy="agreement", granularity="video")
    return select(evidence, plain).margin


def affordable(
    margins: Mapping[str, float],
    units: Mapping[str, float],
    members: int,
    options: SelectionOptions,
    total: float,
) -> list[str]:
    """Videos to follow back, the least sure first, within the budget."""
    left = options.cycle_budget * total
    chosen = []
    for name in sorted(margins, key=lambda n: (margins[n], n)):
        cost = members * units[name]
        if margins[name] < options.cycle_margin and cost <= left:
            chosen.append(name)
            left -= cost
    return chosen


class CycleJob(RunJob):
    """A run's job, backwards: pairs are scores, finishing selects again with them."""

    def start(self, member: str) -> MemberWorker:
        lease.check(self.root, self.lease)
        chosen = next(m for m in self.config.members if m.name == member)
        return BackwardWorker(self, chosen)

    def finish(self, video: str, members: tuple[str, ...]) -> JobRecord:
        run = self.run
        evidence, before = (
            Evidence.load(run.evidence_path(video)),
            read_record(run.record_path(video)),
        )
        read_scores(run, evidence, members)
        choice = select(evidence, self.config.selection, calibration_of(self.config))
        with ExitStack() as stack:
            by_name = {
                member: open_prediction(run.current_prediction(member, video), stack)
                for member in evidence.members
            }

            def may_write() -> None:
                lease.check(self.root, self.lease)

            opened = self.dataset.video(video)
            labels = self.dataset.label_masks(video, opened) if self.dataset.labels else None
            written = write_selected(run, opened, choice, by_name, may_write, labels)
            if self.config.output.overlap:
                write_selected_objects(run, opened, choice, by_name, may_write)
                shutil.rmtree(run.pseudo_objects(video), ignore_errors=True)
        evidence.save(run.evidence_path(video))
        record = describe(
            selection_setup(self.config), evidence, choice, before.provenance, written
        )
        cycle = {
            member: {
                n: round(float(score), 4)
                for n, score in zip(evidence.object_ids, evidence.cycle[row], strict=True)
                if not np.isnan(score)
            }
            for row, member in enumerate(evidence.members)
        }
        record = dataclasses.replace(record, cycle=cycle, disputes=before.disputes)
        write_json(run.record_path(video), record.json())
        return {**record.json(), "stamp": run.finished_stamp(video)}


class BackwardWorker(MemberWorker):
    """Runs its member from its own last masks back to the given ones; stores the scores."""

    def run(self, video: str, attempt: Attempt) -> JobRecord:
        opened = self.job.dataset.video(video)
        path = self.job.run.cycle_score(self.member.name, video)
        segmenter, _ = self._lighter(attempt.step, min(opened.height, opened.width))
        start = time.monotonic()
        prediction = Prediction(self.job.run.current_prediction(self.member.name, video))
        try:
            last = last_seen(prediction, opened)
            scores = dict.fromkeys(map(str, opened.object_ids), 0.0)
            if last:
                back = backwards(opened, prediction, last)
                scores |= meet_given(opened, segmenter.segment(back), last)
        finally:
            prediction.close()
        seen = seen_after(Evidence.load(self.job.run.evidence_path(video)), last)
        scores = {
            name: round(score * (1 - seen.get(name, 0.0)), 6) for name, score in scores.items()
        }
        lease.check(self.job.root, self.job.lease)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"member": self.member.name, "video": video, "scores": scores})
        return {"seconds": time.monotonic() - start, "frames": len(opened), "bytes": 0}


def read_scores(run: RunDirectory, evidence: Evidence, members: Sequence[str]) -> None:
    """Put the stored scores of the members into an evidence, in place; NaN if there are none."""
    for member in members:
        scores = (read_json(run.cycle_score(member, evidence.video)) or {}).get("scores", {})
        row = evidence.candidates.index(member)
        for column, object_id in enumerate(evidence.object_ids):
            evidence.cycle[row, column] = scores.get(str(object_id), np.nan)
    evidence.memo.clear()


def last_seen(prediction: Prediction, video: Video) -> dict[int, int]:
    """Object id -> the last frame on which the member sees it, if that is after it was given."""
    given = {i: index for index in video.prompts for i in video.prompts.ids(index)}
    last: dict[int, int] = {}
    for index in range(len(video) - 1, 0, -1):
        if len(last) == len(given):
            break
        present = set(np.unique(prediction[index].ids).tolist())
        for object_id, start in given.items():
            if object_id in present and object_id not in last and index > start:
                last[object_id] = index
    return last


def backwards(video: Video, prediction: Prediction, last: Mapping[int, int]) -> Video:
    """The video from its end to its start, prompted with a member's own last masks.

    last   object id -> frame of the mask to start from
    """
    end = len(video) - 1
    prompts: dict[int, np.ndarray] = {}
    for index in sorted(set(last.values())):
        ids = prediction[index].ids
        mine = [object_id for object_id, at in last.items() if at == index]
        prompts[end - index] = np.where(np.isin(ids, mine), ids, 0).astype(np.uint8)
    return Video(video.name, _Backwards(video), Prompts(prompts), video.frame_names[::-1])


class _Backwards:
    """Frames of a video, the last one first."""

    def __init__(self, video: Video):
        self._video = video

    def __len__(self) -> int:
        return len(self._video)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._video[len(self._video) - 1 - index]


def meet_given(video: Video, frames: Any, last: Mapping[int, int]) -> dict[str, float]:
    """J&F of every object that was followed back, on the frame on which it was given."""
    scores: dict[str, float] = {}
    end = len(video) - 1
    for frame in frames:
        index = end - frame.index
        if index not in video.prompts:
            continue
        reached = Regions(frame.labels(video.height, video.width))
        given = Regions(video.prompts[index])
        for object_id in video.prompts.ids(index):
            if object_id in last:
                score = object_score(reached, given, object_id)
                scores[str(object_id)] = (score.J + score.F) / 2
    return scores


def seen_after(evidence: Evidence, last: Mapping[int, int]) -> dict[str, float]:
    """Object id -> share of the frames with the object in the pseudo-label that come after the
    member's last mask of it: a member that lost it early has an easy way back."""
    shares = {}
    for column, object_id in enumerate(evidence.object_ids):
        seen = evidence["area"][:, -1, column] > 0
        if object_id in last and seen.any():
            shares[str(object_id)] = float(seen[last[object_id] + 1 :].sum() / seen.sum())
    return shares
