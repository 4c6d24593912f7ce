"""The extra pairs of a refinement: following disputed masks back, and running members again.

Both kinds run like any pair, by the scheduler, with its retries and its limits.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ensemble.execution import lease
from ensemble.finishing.video import FinishingContext, finish_video
from ensemble.job import MemberWorker, RunJob
from ensemble.refinement.stretch import lead_back, mask_of, run_on, stitched
from ensemble.storage.predictions import Prediction, PredictionWriter
from selection.refined import Dispute
from stseg.files import quick_digest, read_json, write_json

if TYPE_CHECKING:
    from adapters.base import Segmenter
    from ensemble.scheduling.messages import Attempt, JobRecord
    from mose import Video


def stored_disputes(path: Path, key: str) -> tuple[Dispute, ...] | None:
    """The disputes of a video that were looked into under ``key``; None where there are none."""
    stored = read_json(path)
    if not isinstance(stored, dict) or stored.get("key") != key:
        return None
    return tuple(map(Dispute.parse, stored["disputes"]))


def key_of(disputes: tuple[Dispute, ...], made_from: str) -> str:
    """Changes with the disputes and with ``made_from``, the key of the finished video."""
    return quick_digest(made_from, *(str(dispute.json()) for dispute in disputes))


@dataclass(frozen=True)
class RefinementJob(RunJob):
    """A run's job with disputes to look into or to settle.

    disputes   video -> its disputes
    members    video -> the members that gave a prediction of it
    keys       video -> the key of its finished state
    number     is that of the round, from 1
    """

    step: ClassVar[str]

    disputes: Mapping[str, tuple[Dispute, ...]] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    number: int = 1

    @classmethod
    def of(cls, job: RunJob, **more: object) -> RefinementJob:
        """A run's job with more to know."""
        known = {field.name: getattr(job, field.name) for field in dataclasses.fields(RunJob)}
        return cls(**{**known, **more})

    def key(self, video: str) -> str:
        """Under which the disputes of a video are looked into, or its members run again."""
        return key_of(self.disputes[video], self.keys[video])

    def predictions(self, video: str, stack: ExitStack) -> dict[str, Prediction]:
        """The predictions of a video before this round, open until ``stack`` ends."""
        opened = {}
        for member in self.members[video]:
            folder = self.run.current_prediction(member, video, self.number - 1)
            opened[member] = Prediction(folder)
            stack.callback(opened[member].close)
        return opened


class LookJob(RefinementJob):
    """Disputed masks are followed back, all of a video's by one member."""

    step = "look"

    def start(self, member: str) -> MemberWorker:
        lease.check(self.root, self.lease)
        return LookWorker(self, next(m for m in self.config.members if m.name == member))

    def finish(self, video: str, members: tuple[str, ...]) -> JobRecord:
        """Nothing is made of it yet."""
        return {}


class SettleJob(RefinementJob):
    """Members are run again where they were overruled, and their videos finished again."""

    step = "correct"

    def start(self, member: str) -> MemberWorker:
        lease.check(self.root, self.lease)
        return SettleWorker(self, next(m for m in self.config.members if m.name == member))

    def finish(self, video: str, members: tuple[str, ...]) -> JobRecord:
        """Finish a video from the predictions that this round left of its members."""
        context = FinishingContext(
            self.config,
            self.dataset,
            self.run,
            lambda: lease.check(self.root, self.lease),
            rounds=self.number,
        )
        record = finish_video(context, video, self.members[video], self.keys[video])
        return record.json()


class RefiningWorker(MemberWorker, ABC):
    """One member's model, asked about disputes."""

    job: RefinementJob

    def run(self, video: str, attempt: Attempt) -> JobRecord:
        opened = self.job.dataset.video(video)
        segmenter, _ = self._lighter(attempt.step, min(opened.height, opened.width))
        start = time.monotonic()
        with ExitStack() as stack:
            self.work(opened, segmenter, self.job.predictions(video, stack))
        return {"seconds": time.monotonic() - start, "frames": len(opened), "bytes": 0}

    @abstractmethod
    def work(
        self, video: Video, segmenter: Segmenter, predictions: Mapping[str, Prediction]
    ) -> None:
        """Do what there is to do about a video, and store it."""


class LookWorker(RefiningWorker):
    """Follows the masks of all disputes of a video back."""

    def work(
        self, video: Video, segmenter: Segmenter, predictions: Mapping[str, Prediction]
    ) -> None:
        disputes = self.job.disputes[video.name]
        judged = [lead_back(segmenter, video, d, predictions, self.member.name) for d in disputes]
        lease.check(self.job.root, self.job.lease)
        stored = {"key": self.job.key(video.name), "disputes": [d.json() for d in judged]}
        write_json(self.job.run.disputes_path(video.name, self.job.number), stored)


class SettleWorker(RefiningWorker):
    """Runs its member again from every dispute of a video in which it is to be corrected."""

    def work(
        self, video: Video, segmenter: Segmenter, predictions: Mapping[str, Prediction]
    ) -> None:
        run, mine = self.job.run, predictions[self.member.name]
        folder = run.refined_prediction(self.member.name, video.name, self.job.number)
        trials = folder.with_name(f".{folder.name}.trials")
        stretches = []
        for number, dispute in enumerate(self.job.disputes[video.name]):
            if self.member.name in dispute.corrected:
                mask = mask_of(dispute.taken, dispute, predictions)
                trial = trials / str(number)
                stretches.append(run_on(segmenter, video, mine, dispute, mask, trial))
        with PredictionWriter(folder, video.height, video.width) as writer:
            for frame in stitched(mine, stretches):
                writer.add(frame)
            lease.check(self.job.root, self.job.lease)
            cost = sum(stretch.cost for stretch in stretches)
            writer.commit({**mine.manifest, "key": self.job.key(video.name), "again": cost})
        shutil.rmtree(trials, ignore_errors=True)
