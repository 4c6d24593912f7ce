"""Refinement of a run whose videos are finished: look into disputes, correct, finish again.

Everything is decided by pure functions from what is stored: the surveys of the first pass decide
what is looked into, and what came of it decides who is corrected. So a run that was killed
decides the same again, and keeps what is done.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
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
from ensemble.refinement.work import LookJob, SettleJob, stored_disputes
from ensemble.scheduling.messages import MemberSpec, Pair, Workload
from ensemble.storage.predictions import read_manifest
from ensemble.storage.run_directory import RunDirectory
from selection.record import SelectionRecord
from selection.refined import Dispute
from stseg.cli import print_line
from stseg.files import write_json

if TYPE_CHECKING:
    from ensemble.execution.executor import Executor
    from ensemble.plan import Plan


@dataclass(frozen=True)
class Refined:
    """What a refinement did.

    looked      counts the disputes that were looked into, ``overruled`` those of them in which a
                smaller share was right, ``corrected`` those by which members were corrected
    share       is what it cost at most, as a share of the run's own work
    """

    looked: int
    overruled: int
    corrected: int
    share: float


class Refinement:
    """The refinement of one run; ``make_executor`` is asked once for each of its two steps."""

    def __init__(
        self,
        plan: Plan,
        run: RunDirectory,
        specs: Sequence[MemberSpec],
        make_executor: Callable[[RunJob], Executor],
    ):
        self.plan, self.run, self.specs, self.make_executor = plan, run, specs, make_executor
        self.config = plan.job.config
        records = {name: run.record(name) for name in plan.inputs}
        self.records = {
            name: record
            for name, record in records.items()
            if record is not None and run.survey_path(name).is_file()
        }
        surveys = ((name, self.survey(name)) for name in self.records)
        self.members = {name: survey.members for name, survey in surveys}
        self.sizes = {
            name: VideoSize(video.frames, video.objects, video.units)
            for name, video in plan.inputs.items()
        }

    def perform(self) -> Refined:
        """Do all of it that is not done."""
        total = sum(size.units for size in self.sizes.values()) * len(self.config.members)
        budget = self.config.refinement.budget * total
        disputes = {name: self.disputes_of(self.survey(name)) for name in self.records}
        chosen = choose_disputes(disputes, self.sizes, LOOKING * budget)
        looked = self.follow(chosen.disputes)
        asked = {name: self.with_corrected(name, told) for name, told in looked.items()}
        settled = choose_corrections(asked, self.sizes, budget - chosen.cost)
        self.settle(asked, settled.disputes)
        told = [dispute for disputes in looked.values() for dispute in disputes]
        return Refined(
            len(told),
            sum(dispute.overruled for dispute in told),
            sum(map(len, settled.disputes.values())),
            (chosen.cost + settled.cost) / max(total, 1),
        )

    def survey(self, name: str) -> Survey:
        """What the members said of a video in the first pass; read anew, for a run is large."""
        return Survey.load(self.run.survey_path(name))

    def disputes_of(self, survey: Survey) -> list[Dispute]:
        """The disputes of a video; none where no member can follow them back."""
        if not self.can_run(survey.members):
            return []
        models = {m.name: (m.adapter, m.weights or m.name) for m in self.config.members}
        groups = sorted({models[member] for member in survey.members})
        clusters = {member: groups.index(models[member]) for member in survey.members}
        return find_disputes(survey, clusters)

    def can_run(self, members: Sequence[str]) -> tuple[str, ...]:
        """Those that can be run again, the one with the best prior first."""
        calibration = calibration_of(self.config)
        able = [
            m for m in self.config.members if m.name in members and m.adapter not in NOT_FOLLOWING
        ]
        able.sort(key=lambda member: -prior_of(member, calibration))
        return tuple(member.name for member in able)

    def follow(self, disputes: Mapping[str, tuple[Dispute, ...]]) -> dict[str, tuple[Dispute, ...]]:
        """Follow the masks of disputes back; what came of it, by video."""
        job = LookJob.of(self.plan.job, disputes=disputes, **self.knowledge(disputes))

        def stored(name: str) -> tuple[Dispute, ...] | None:
            return stored_disputes(self.run.disputes_path(name), job.key(name))

        pairs = [
            Pair(self.can_run(self.members[name])[0], name, self.cost(name, told))
            for name, told in sorted(disputes.items())
            if stored(name) is None and self.is_whole(name)
        ]
        self.run_all(job, pairs, "look")
        return {name: told for name in disputes if (told := stored(name)) is not None}

    def settle(
        self,
        looked: Mapping[str, tuple[Dispute, ...]],
        settled: Mapping[str, tuple[Dispute, ...]],
    ) -> None:
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
            if self.records[name].disputes != noted[name] and self.is_whole(name)
        }
        job = SettleJob.of(self.plan.job, disputes=open_, **self.knowledge(open_))
        pairs, done = [], []
        for name, told in sorted(open_.items()):
            for member in sorted({m for dispute in told for m in dispute.corrected}):
                manifest = read_manifest(self.run.refined_prediction(member, name))
                if manifest and manifest.get("key") == job.key(name):
                    done.append((member, name))
                else:
                    pairs.append(Pair(member, name, self.sizes[name].units))
        finished = self.run_all(job, pairs, "correct", done)
        for name, told in noted.items():
            record = self.run.record(name)
            if record is not None and (name in finished or name not in settled):
                self.note(record, told)

    def note(self, record: SelectionRecord, disputes: tuple[Dispute, ...]) -> None:
        """Put the disputes into a record; members that could not be run again are left out."""
        have = {
            member
            for member in self.members[record.video]
            if read_manifest(self.run.refined_prediction(member, record.video))
        }
        told = tuple(
            dataclasses.replace(d, corrected=tuple(m for m in d.corrected if m in have))
            for d in disputes
        )
        if told != record.disputes:
            record = dataclasses.replace(record, disputes=told)
            write_json(self.run.record_path(record.video), record.json())

    def with_corrected(self, name: str, disputes: tuple[Dispute, ...]) -> tuple[Dispute, ...]:
        """The disputes of a video with the members that each of them should correct."""
        survey = self.survey(name)
        able = self.can_run(survey.members)
        return tuple(
            dataclasses.replace(dispute, corrected=to_correct(dispute, survey, able))
            for dispute in disputes
        )

    def knowledge(self, names: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
        """What a job knows of its videos."""
        return {
            "members": {name: self.members[name] for name in names},
            "keys": {name: self.records[name].provenance.key for name in names},
        }

    def is_whole(self, name: str) -> bool:
        """Whether a video still has the predictions of all its members."""
        folders = (self.run.prediction(member, name) for member in self.members[name])
        return all(read_manifest(folder) for folder in folders)

    def cost(self, name: str, disputes: Sequence[Dispute]) -> float:
        """Of looking into a video's disputes."""
        return sum(self.sizes[name].looking(dispute) for dispute in disputes)

    def run_all(
        self, job: RunJob, pairs: list[Pair], what: str, done: Sequence[tuple[str, str]] = ()
    ) -> Collection[str]:
        """Run pairs and say which could not be run; the videos that were finished after them."""
        if not pairs and not done:
            return ()
        limits, fence = self.config.execution.limits, f"{job.lease}-{what}-"
        work = Workload(self.specs, pairs, done, limits=limits, fence=fence)
        outcome = run_pairs(self.make_executor(job), work)
        for item in (*outcome.given_up, *outcome.unfinished):
            print_line(f"refinement: {item.video} ({item.member or 'finish'}): {item.message}")
        return outcome.finished.keys()


def refine(
    config: RunConfig,
    plan: Plan,
    run: RunDirectory,
    specs: Sequence[MemberSpec],
    make_executor: Callable[[RunJob], Executor],
) -> Refined:
    """Refine a run whose videos are finished, and print what it took. Videos that were refined
    before are not run again."""
    start = time.monotonic()
    refined = Refinement(plan, run, specs, make_executor).perform()
    print_line(
        f"refinement: {refined.looked} disputes looked into, a smaller share was right in"
        f" {refined.overruled}, members corrected in {refined.corrected}: at most"
        f" {100 * refined.share:.0f} % more work, {time.monotonic() - start:.1f} s"
    )
    return refined
