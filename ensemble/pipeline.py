"""A run from its configuration to its results: plan, execute, refine, write."""

from __future__ import annotations

import dataclasses
import os
import time
from functools import partial
from pathlib import Path

from adapters.base import check_device
from adapters.registry import check_name
from ensemble.config import BUILT_IN_DATASET, RunConfig
from ensemble.dry_run import describe_plan
from ensemble.execution.driver import RunOutcome, run_pairs
from ensemble.execution.lease import held, refuse_second
from ensemble.execution.run_log import RunLog
from ensemble.execution.setup import executor_of, specs_of
from ensemble.plan import Plan, board_of, calibration_notes, choose_videos, make_plan, open_data
from ensemble.refinement.follow_back import follow_back
from ensemble.refinement.rounds import refine
from ensemble.results import print_results, write_results
from ensemble.resume import clear_leftovers, note_done, remove_predictions
from ensemble.scheduling.messages import LogEntry, Workload
from ensemble.storage.journal import Journal, open_journal
from ensemble.storage.run_directory import RunDirectory, open_run
from mose.dataset import Dataset
from mose.findings import lines
from mose.layout import canonical_split
from selection.calibration import find_calibration
from stseg.cli import EXIT_INCOMPLETE, EXIT_OK, counted, print_line, print_status
from stseg.config import to_dict
from stseg.failures import FailureKind


def run(config: RunConfig, overwrite: bool = False, dry_run: bool = False) -> int:
    """Run a configuration; returns the exit code."""
    start = time.monotonic()
    for member in config.members:
        check_name(member.adapter)
    if config.execution.address is None and "RAY_ADDRESS" not in os.environ:
        check_device(config.execution.device)
    config = absolute_paths(config)
    runs = Path("runs")
    dataset = open_data(config, runs)
    choose_videos(dataset, config.data.videos)
    name = f"{Path(config.data.dataset).name or 'data'}-{canonical_split(config.data.split)}"
    if config.data.single:
        name = dataset.name
    directory = RunDirectory(Path(config.output.path or runs / name))
    if not overwrite:
        dataset = with_corrections_by_hand(dataset, directory)
    if dry_run:
        print_line(describe_plan(make_plan(config, dataset, directory)))
        return EXIT_OK
    refuse_second(directory.root)
    open_run(directory.root, to_dict(config), dataset.images, overwrite)
    with held(directory.root) as lease, open_journal(directory) as journal:
        plan = make_plan(config, dataset, directory, lease, journal)
        announce(plan, directory)
        outcome = execute(plan, directory, journal)
        if any(item.category is FailureKind.CORRUPT for item in outcome.unfinished):
            # A stored prediction was damaged and has been removed: make it again, once.
            plan = make_plan(config, dataset, directory, lease, journal)
            outcome = execute(plan, directory, journal)
        members = [member.name for member in config.members]
        if later_steps(config, plan, directory, outcome) and not config.output.keep_soft:
            lost = {item.video for item in outcome.given_up}
            remove_predictions(directory, [n for n in plan.inputs if n not in lost], members)
        clear_leftovers(directory, members)
        summary = write_results(config, plan, outcome, directory, time.monotonic() - start)
    print_line(summary.table())
    print_results(config, summary, directory, plan.videos)
    return EXIT_INCOMPLETE if summary.failures else EXIT_OK


def later_steps(
    config: RunConfig, plan: Plan, directory: RunDirectory, outcome: RunOutcome
) -> bool:
    """What follows once all videos are finished; False where nothing does. What is given up on the
    way joins ``outcome``."""
    asked = {refine: config.refinement.on, follow_back: config.selection.uses_cycle}
    steps = [step for step, wanted in asked.items() if wanted]
    for step in steps:
        make = partial(executor_of, config)
        outcome.given_up += step(config, plan, directory, specs_of(config), make)
    return bool(steps)


def with_corrections_by_hand(dataset: Dataset, directory: RunDirectory) -> Dataset:
    """The data set with what was corrected by hand in a run folder, unless it was opened with other
    corrections."""
    folder = directory.all_corrections
    if dataset.corrections is not None or not folder.is_dir():
        return dataset
    return dataclasses.replace(dataset, corrections=folder.resolve())


def announce(plan: Plan, directory: RunDirectory) -> None:
    """Say at once what is about to be done, and what there is to know before."""
    config = plan.job.config
    names = ", ".join(member.name for member in config.members)
    data = config.data
    print_status(board_of(config)[1])
    whole = f"{counted(len(plan.videos), 'video')} of {data.dataset}, split {data.split}"
    print_status(f"{f'video {data.dataset}' if data.single else whole}, into {directory.root}")
    print_status(f"{counted(len(config.members), 'member')} on {config.execution.device}: {names}")
    if plan.finished:
        print_status(f"kept as finished: {counted(len(plan.finished), 'video')}")
    for line in lines(plan.notes):
        print_line(line)
    for sentence in calibration_notes(plan.job):
        print_line(sentence)


def absolute_paths(config: RunConfig) -> RunConfig:
    """The configuration with absolute paths, because workers may run in another folder."""
    members = []
    for member in config.members:
        if member.weights and Path(member.weights).exists():
            member = dataclasses.replace(member, weights=str(Path(member.weights).resolve()))
        members.append(member)
    data = config.data
    if data.dataset != BUILT_IN_DATASET:
        data = dataclasses.replace(data, dataset=os.path.abspath(data.dataset))
    if data.mask:
        data = dataclasses.replace(data, mask=os.path.abspath(data.mask))
    calibration = config.calibration and str(find_calibration(config.calibration))
    return dataclasses.replace(config, data=data, members=tuple(members), calibration=calibration)


def execute(plan: Plan, directory: RunDirectory, journal: Journal) -> RunOutcome:
    """Run what the plan left to do."""
    config = plan.job.config
    done = [(member, video) for member, videos in plan.whole.items() for video in videos]
    if not plan.pairs and not done:
        return RunOutcome()
    if config.execution.executor == "ray":
        where = config.execution.address or os.environ.get("RAY_ADDRESS") or "this machine"
        print_status(f"starting Ray workers on {where}")
    executor = executor_of(config, plan.job)
    frames = {n: f.frames for n, f in sorted(plan.inputs.items()) if n not in plan.finished}
    members = [member.name for member in config.members]
    log = RunLog(directory, members, plan.pairs, frames)

    def listen(entry: LogEntry) -> None:
        log(entry)
        note_done(journal, plan.job, plan.inputs, entry)

    try:
        with log.refreshed():
            return run_pairs(
                executor,
                Workload(
                    specs_of(config),
                    plan.pairs,
                    done,
                    limits=config.execution.limits,
                    fence=f"{plan.job.lease}-",
                ),
                on_event=listen,
            )
    finally:
        log.close()
