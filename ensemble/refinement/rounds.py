"""Refinement of a run whose videos are finished: look into disputes, correct, finish again.

Everything is decided by pure functions from what is stored: the surveys of the pass before decide
what is looked into, and what came of it decides who is corrected. So a run that was killed
decides the same again, and keeps what is done.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ensemble.config import RunConfig, calibration_of, prior_of
from ensemble.execution.driver import run_pairs
from ensemble.job import RunJob
from ensemble.refinement.disputes import find_disputes, to_correct
from ensemble.refinement.follow_back import NOT_FOLLOWING
from ensemble.refinement.spending import (
    LOOKING,
    VideoSize,
    choose_corrections,
    choose_disputes,
)
from ensemble.refinement.survey import Survey
from ensemble.refinement.work import LookJob, RefinementJob, SettleJob, stored_disputes
from ensemble.scheduling.messages import GiveUp, MemberSpec, Pair, Workload
from ensemble.storage.predictions import read_manifest
from ensemble.storage.run_directory import RunDirectory
from selection.refined import Dispute
from stseg.cli import print_line
from stseg.files import write_json

if TYPE_CHECKING:
    from ensemble.execution.executor import Executor
    from ensemble.plan import Plan

STANDING = ("hold",)
"""Adapters whose masks do not move: to them every mask leads back to where it stands."""

Disputes = Mapping[str, tuple[Dispute, ...]]
"""The disputes of each video."""


class Refinement:
    """The refinement of one run; ``make_executor`` is asked once for each step of a round.

    told    video -> the disputes that were looked into so far, with those who were corrected
    spent   is what it cost so far at most, in units of pairs
    lost    are the pairs and videos that were given up
    """

    def __init__(
        self,
        plan: Plan,
        run: RunDirectory,
        specs: Sequence[MemberSpec],
        make_executor: Callable[[RunJob], Executor],
    ):
        self.plan, self.run, self.specs, self.make_executor = plan, run, specs, make_executor
        self.config = plan.job.config
        self.sizes = {
            name: VideoSize(video.frames, video.objects, video.units)
            for name, video in plan.inputs.items()
        }
        self.total = sum(size.units for size in self.sizes.values()) * len(self.config.members)
        self.told: dict[str, tuple[Dispute, ...]] = {}
        self.spent = 0.0
        self.lost: list[GiveUp] = []

    def perform(self) -> None:
        """Do all of it that is not done, until nobody is corrected any more."""
        names = [name for name in self.plan.inputs if self.run.record(name) is not None]
        for number in range(1, self.config.refinement.rounds + 1):
            names = [name for name in names if self.run.survey_path(name, number).is_file()]
            names = Round(self, number, names).perform() if names else []

    @property
    def left(self) -> float:
        """What may still be spent."""
        return max(self.config.refinement.budget * self.total - self.spent, 0.0)

    def can_run(self, members: Sequence[str]) -> tuple[str, ...]:
        """Those that can be run again, the one with the best prior first."""
        calibration = calibration_of(self.config)
        able = [
            m for m in self.config.members if m.name in members and m.adapter not in NOT_FOLLOWING
        ]
        able.sort(key=lambda member: -prior_of(member, calibration))
        return tuple(member.name for member in able)

    def follower(self, members: Sequence[str]) -> str | None:
        """The one that follows masks back; None where no member can."""
        adapters = {member.name: member.adapter for member in self.config.members}
        able = (name for name in self.can_run(members) if adapters[name] not in STANDING)
        return next(able, None)

    def run_all(
        self, job: RefinementJob, pairs: list[Pair], done: Sequence[tuple[str, str]] = ()
    ) -> frozenset[str]:
        """Run pairs and keep what could not be run; the videos that were finished after them."""
        if not pairs and not done:
            return frozenset()
        limits, fence = self.config.execution.limits, f"{job.lease}-{job.step}-{job.number}-"
        work = Workload(self.specs, pairs, done, limits=limits, fence=fence)
        outcome = run_pairs(self.make_executor(job), work)
        self.lost += outcome.lost_to("refinement")
        return frozenset(outcome.finished)


class Round:
    """One round: the ``number``-th, over ``videos`` that have a survey of the pass before."""

    def __init__(self, whole: Refinement, number: int, videos: Sequence[str]):
        self.whole, self.number, self.run = whole, number, whole.run
        records = {name: whole.run.record(name) for name in videos}
        self.records = {name: record for name, record in records.items() if record is not None}
        self.members = {name: self.survey(name).members for name in self.records}

    def perform(self) -> list[str]:
        """Do all of it that is not done; returns the videos in which members were corrected."""
        whole = self.whole
        disputes = {name: self.disputes_of(name) for name in self.records}
        chosen = choose_disputes(disputes, whole.sizes, LOOKING * whole.left)
        whole.spent += chosen.cost
        looked = self.follow(chosen.disputes)
        asked = {name: self.with_corrected(name, told) for name, told in looked.items()}
        settled = choose_corrections(asked, whole.sizes, whole.left)
        whole.spent += settled.cost
        self.settle(asked, settled.disputes)
        return sorted(settled.disputes)

    def survey(self, name: str) -> Survey:
        """What the members said of a video before this round; read anew, for a run is large."""
        return Survey.load(self.run.survey_path(name, self.number))

    def disputes_of(self, name: str) -> list[Dispute]:
        """The disputes of a video that were not looked into before; none where no member can
        follow them back."""
        survey, known = self.survey(name), self.whole.told.get(name, ())
        if self.whole.follower(survey.members) is None:
            return []
        models = {m.name: (m.adapter, m.weights or m.name) for m in self.whole.config.members}
        groups = sorted({models[member] for member in survey.members})
        clusters = {member: groups.index(models[member]) for member in survey.members}
        return [
            dataclasses.replace(dispute, round=self.number)
            for dispute in find_disputes(survey, clusters)
            if not any(dispute.repeats(other) for other in known)
        ]

    def follow(self, disputes: Disputes) -> dict[str, tuple[Dispute, ...]]:
        """Follow the masks of disputes back; what came of it, by video."""
        job = LookJob.of(self.whole.plan.job, disputes=disputes, **self.knowledge(disputes))

        def stored(name: str) -> tuple[Dispute, ...] | None:
            return stored_disputes(self.run.disputes_path(name, self.number), job.key(name))

        followers = {name: self.whole.follower(self.members[name]) for name in disputes}
        pairs = [
            Pair(member, name, self.cost(name, disputes[name]))
            for name, member in sorted(followers.items())
            if member and stored(name) is None and self.is_whole(name)
        ]
        self.whole.run_all(job, pairs)
        return {name: told for name in disputes if (told := stored(name)) is not None}

    def settle(self, looked: Disputes, settled: Disputes) -> None:
        """Run the members that are to be corrected, finish their videos again, and note in every
        record what was looked into."""
        noted = {
            name: tuple(
                dispute
                if dispute in settled.get(name, ())
                else dataclasses.replace(dispute, corrected=())
                for dispute in told
            )
            for name, told in looked.items()
        }
        open_ = {
            name: told
            for name, told in settled.items()
            if self.noted_in(name) != noted[name] and self.is_whole(name)
        }
        job = SettleJob.of(self.whole.plan.job, disputes=open_, **self.knowledge(open_))
        pairs, done = [], []
        for name, told in sorted(open_.items()):
            for member in sorted({m for dispute in told for m in dispute.corrected}):
                manifest = read_manifest(self.run.refined_prediction(member, name, self.number))
                if manifest and manifest.get("key") == job.key(name):
                    done.append((member, name))
                else:
                    pairs.append(Pair(member, name, self.whole.sizes[name].units))
        finished = self.whole.run_all(job, pairs, done)
        for name, told in noted.items():
            if name in finished or name not in settled:
                told = self.note(name, told)
            self.whole.told[name] = (*self.whole.told.get(name, ()), *told)

    def noted_in(self, name: str) -> tuple[Dispute, ...]:
        """What a record says of this round."""
        return tuple(d for d in self.records[name].disputes if d.round == self.number)

    def note(self, name: str, disputes: tuple[Dispute, ...]) -> tuple[Dispute, ...]:
        """Put the disputes into a record, without members that could not be run again."""
        have = {
            member
            for member in self.members[name]
            if read_manifest(self.run.refined_prediction(member, name, self.number))
        }
        new = tuple(
            dataclasses.replace(d, corrected=tuple(m for m in d.corrected if m in have))
            for d in disputes
        )
        record, told = self.run.record(name), (*self.whole.told.get(name, ()), *new)
        if record is not None and told != record.disputes:
            record = dataclasses.replace(record, disputes=told)
            write_json(self.run.record_path(name), record.json())
        return new

    def with_corrected(self, name: str, disputes: tuple[Dispute, ...]) -> tuple[Dispute, ...]:
        """The disputes of a video with the members that each of them should correct."""
        survey = self.survey(name)
        able = self.whole.can_run(survey.members)
        return tuple(
            dataclasses.replace(dispute, corrected=to_correct(dispute, survey, able))
            for dispute in disputes
        )

    def knowledge(self, names: Mapping[str, object]) -> dict[str, object]:
        """What a job knows of its videos."""
        return {
            "number": self.number,
            "members": {name: self.members[name] for name in names},
            "keys": {name: self.records[name].provenance.key for name in names},
        }

    def is_whole(self, name: str) -> bool:
        """Whether a video still has the predictions of all its members."""
        folders = (self.run.prediction(member, name) for member in self.members[name])
        return all(read_manifest(folder) for folder in folders)

    def cost(self, name: str, disputes: Sequence[Dispute]) -> float:
        """Of looking into a video's disputes."""
        return sum(self.whole.sizes[name].looking(dispute) for dispute in disputes)


def refine(
    config: RunConfig,
    plan: Plan,
    run: RunDirectory,
    specs: Sequence[MemberSpec],
    make_executor: Callable[[RunJob], Executor],
) -> list[GiveUp]:
    """Refine a run whose videos are finished, and print what it took; what was given up. Videos
    that were refined before are not run again."""
    start = time.monotonic()
    done = Refinement(plan, run, specs, make_executor)
    done.perform()
    told = [dispute for disputes in done.told.values() for dispute in disputes]
    print_line(
        f"refinement: {len(told)} disputes looked into, a smaller share was right in"
        f" {sum(dispute.overruled for dispute in told)}, members corrected in"
        f" {sum(bool(dispute.corrected) for dispute in told)}: at most"
        f" {100 * done.spent / max(done.total, 1):.0f} % more work,"
        f" {time.monotonic() - start:.1f} s"
    )
    return done.lost
