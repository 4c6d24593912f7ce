"""The main command: run the members, fuse, select, write.

python -m ensemble.run --split test
python -m ensemble.run --config mose --dataset MOSE --split valid --device cuda
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stseg.cli import EXIT_INCOMPLETE, EXIT_OK, run_command, say
from stseg.config import SET_HELP
from stseg.errors import InputError, unknown
from stseg.failures import Failure, FailureKind

if TYPE_CHECKING:
    from ensemble.config import RunConfig
    from ensemble.execution.driver import RunOutcome
    from ensemble.execution.executor import Executor
    from ensemble.job import RunJob
    from ensemble.plan import Plan
    from ensemble.scheduling.messages import LogEntry, MemberSpec, Shape
    from ensemble.storage.journal import Journal
    from ensemble.storage.run_directory import RunDirectory
    from selection.summary import Summary

LAYOUT = """\
the data set folder:
  JPEGImages/<video>/00000.jpg      frames
  Annotations/<video>/00000.png     the given masks, palette PNGs of object ids
or such folders inside train/, valid/ or test/.

the run folder:
  masks/<video>/00000.png           the selected masks
  submission.zip                    the same, as a server takes it
  report/index.html                 the selection report
  selection/<video>.json            every candidate's scores, the winner, why
  pseudo-labels/  predictions/  selection.csv  summary.json  failures.json

exit code: 0 every video written, 1 some failed (see failures.json), 2 bad input."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m ensemble.run",
        description="Run an ensemble over a data set and select the best masks per video.",
        epilog=LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--split", help="train, valid or test")
    p.add_argument("--dataset", help="root of the data set (default: the built-in synthetic one)")
    p.add_argument("--annotations", nargs="+", help="folders of given masks (Annotations)")
    p.add_argument("--config", default="default.yaml", help="YAML file (default: %(default)s)")
    p.add_argument("--members", nargs="+", metavar="NAME", help="only these members")
    p.add_argument("--videos", nargs="+", metavar="NAME", help="only these videos (patterns)")
    p.add_argument("--output", help="run folder (default: runs/<data set>-<split>)")
    p.add_argument("--address", help="of a Ray cluster (default: RAY_ADDRESS, else embedded)")
    p.add_argument("--device", help="cpu, cuda or mps")
    p.add_argument("--executor", choices=("ray", "inline"), help="(default: ray)")
    p.add_argument(
        "--labels",
        nargs="?",
        const="Annotations",
        help="score against full labels in this folder (Annotations)",
    )
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                   help=SET_HELP)  # fmt: skip
    p.add_argument("--keep-soft", action="store_true", help="keep the members' predictions")
    p.add_argument("--overwrite", action="store_true", help="start over in an existing run folder")
    p.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = parser().parse_args(argv)
    config = configure(arguments)
    return run(config, overwrite=arguments.overwrite, dry_run=arguments.dry_run)


def configure(arguments: argparse.Namespace) -> RunConfig:
    """The configuration file with the command line's options on top."""
    from ensemble.config import BUILT_IN_DATASET, load_config

    config = load_config(arguments.config, arguments.overrides)
    data, execution, output = config.data, config.execution, config.output
    if arguments.dataset and arguments.dataset != BUILT_IN_DATASET:
        if data.dataset == BUILT_IN_DATASET:
            data = dataclasses.replace(data, labels=None)
        data = dataclasses.replace(data, dataset=arguments.dataset)
    changes = {
        "split": arguments.split,
        "annotations": tuple(arguments.annotations or ()),
        "videos": tuple(arguments.videos or ()),
        "labels": arguments.labels,
    }
    data = dataclasses.replace(data, **{k: v for k, v in changes.items() if v})
    changes = {k: getattr(arguments, k) for k in ("address", "device", "executor")}
    execution = dataclasses.replace(execution, **{k: v for k, v in changes.items() if v})
    output = dataclasses.replace(
        output,
        path=arguments.output or output.path,
        keep_soft=arguments.keep_soft or output.keep_soft,
    )
    members = config.members
    if arguments.members:
        by_name = {member.name: member for member in members}
        for name in arguments.members:
            if name not in by_name:
                raise unknown("member", name, by_name, f" in {arguments.config}")
        members = tuple(by_name[name] for name in arguments.members)
    if not members:
        raise InputError(f"configuration {arguments.config} has no members: list some")
    return dataclasses.replace(
        config, data=data, execution=execution, output=output, members=members
    )


def run(config: RunConfig, overwrite: bool = False, dry_run: bool = False) -> int:
    """Run a configuration; returns the exit code."""
    from adapters.base import check_device
    from adapters.registry import check_name
    from ensemble.execution.lease import held, refuse_second
    from ensemble.plan import calibration_notes, choose_videos, make_plan, open_data
    from ensemble.refinement.follow_back import follow_back
    from ensemble.resume import clear_leftovers
    from ensemble.storage.journal import open_journal
    from ensemble.storage.run_directory import RunDirectory, open_run
    from stseg.config import to_dict

    start = time.monotonic()
    for member in config.members:
        check_name(member.adapter)
    if config.execution.address is None and "RAY_ADDRESS" not in os.environ:
        check_device(config.execution.device)
    config = absolute_paths(config)
    runs = Path("runs")
    dataset = open_data(config, runs)
    choose_videos(dataset, config.data.videos)
    name = f"{Path(config.data.dataset).name}-{config.data.split}"
    root = Path(config.output.path or runs / name)
    if dry_run:
        say(describe_plan(make_plan(config, dataset, RunDirectory(root))))
        return EXIT_OK
    refuse_second(root)
    directory = open_run(root, to_dict(config), dataset.images, overwrite)
    with held(root) as lease, open_journal(directory) as journal:
        plan = make_plan(config, dataset, directory, lease, journal)
        for sentence in calibration_notes(plan.job):
            say(sentence)
        outcome = execute(config, plan, directory, journal)
        if any(item.category is FailureKind.CORRUPT for item in outcome.unfinished):
            # A stored prediction was damaged and has been removed: make it again, once.
            plan = make_plan(config, dataset, directory, lease, journal)
            outcome = execute(config, plan, directory, journal)
        if config.selection.uses_cycle:
            follow_back(
                config, plan, directory, specs_of(config), lambda job: executor_of(config, job)
            )
        clear_leftovers(directory, [member.name for member in config.members])
        summary = write_results(config, plan, outcome, directory, time.monotonic() - start)
    say(summary.table())
    report_end(config, summary, directory)
    return EXIT_INCOMPLETE if summary.failures else EXIT_OK


def absolute_paths(config: RunConfig) -> RunConfig:
    """Files by their absolute paths: workers may run in another folder."""
    from selection.calibration import find_calibration

    members = []
    for member in config.members:
        if member.weights and Path(member.weights).exists():
            member = dataclasses.replace(member, weights=str(Path(member.weights).resolve()))
        members.append(member)
    calibration = config.calibration and str(find_calibration(config.calibration))
    return dataclasses.replace(config, members=tuple(members), calibration=calibration)


def execute(config: RunConfig, plan: Plan, directory: RunDirectory, journal: Journal) -> RunOutcome:
    """Run what the plan left to do."""
    from ensemble.execution.driver import RunOutcome, run_pairs
    from ensemble.execution.run_log import RunLog
    from ensemble.resume import note_done

    done = [(member, video) for member, videos in plan.whole.items() for video in videos]
    if not plan.pairs and not done:
        return RunOutcome()
    executor = executor_of(config, plan.job)
    frames = {n: f.frames for n, f in sorted(plan.inputs.items()) if n not in plan.finished}
    counts = Counter(pair.member for pair in plan.pairs)
    pairs = {member.name: counts[member.name] for member in config.members}
    log = RunLog(directory.events, pairs, frames)

    def listen(entry: LogEntry) -> None:
        log(entry)
        note_done(journal, plan.job, plan.inputs, entry)

    try:
        return run_pairs(
            executor,
            specs_of(config),
            plan.pairs,
            done=done,
            limits=config.execution.limits,
            fence=f"{plan.job.lease}-",
            on_event=listen,
        )
    finally:
        log.close()


def specs_of(config: RunConfig) -> list[MemberSpec]:
    """What the members' workers need."""
    from ensemble.scheduling.messages import MemberSpec

    on_gpu = config.execution.device != "cpu"
    return [
        MemberSpec(
            name=member.name,
            num_cpus=member.num_cpus,
            num_gpus=member.num_gpus if on_gpu else 0.0,
            memory=member.memory,
            max_workers=member.max_workers,
        )
        for member in config.members
    ]


def executor_of(config: RunConfig, job: RunJob) -> Executor:
    """The executor that a configuration asks for, for a job."""
    from ensemble.execution.executor import make_executor

    options: dict[str, Any] = {}
    if config.execution.executor == "ray":
        options["num_cpus"] = config.execution.workers
        options["wanted"] = wanted_room(config)
    return make_executor(config.execution.executor, job, config.execution.address, **options)


def wanted_room(config: RunConfig) -> Shape | None:
    """What to ask a cluster that grows for: ``execution.gpus``, and the cores for workers on all
    of them and for finishing beside them. None where nothing is asked for."""
    from ensemble.scheduling.messages import Shape

    gpus = config.execution.gpus
    if not gpus:
        return None
    per_gpu = max(m.num_cpus / m.num_gpus if m.num_gpus else m.num_cpus for m in config.members)
    memory = sum(member.memory or 0 for member in config.members) * math.ceil(gpus)
    return Shape(math.ceil(gpus * per_gpu) + math.ceil(gpus), gpus, memory)


def write_results(
    config: RunConfig, plan: Plan, outcome: RunOutcome, directory: RunDirectory, seconds: float
) -> Summary:
    """Everything that is written once per run: failures, CSV, summary, zip, report."""
    from mose.submission import write_submission
    from selection.summary import selection_csv, summarise
    from stseg.files import write_json, write_text

    failures = list_failures(plan, outcome)
    written = [v for v in plan.videos if v in plan.finished or v in outcome.finished]
    records = [record for v in written if (record := directory.record(v))]
    summary = summarise(records, failures, seconds)
    write_json(
        directory.root / "failures.json", {"failures": [failure.json() for failure in failures]}
    )
    write_text(directory.root / "selection.csv", selection_csv(records))
    write_json(directory.root / "summary.json", summary.json())
    if config.output.submission and written:
        write_submission(directory.root / "masks", directory.root / "submission.zip", written)
    if config.output.report and written:
        from selection.report import write_report

        write_report(directory.root)
    return summary


def list_failures(plan: Plan, outcome: RunOutcome) -> list[Failure]:
    """What was given up, and why."""
    broken = [
        Failure(video, None, FailureKind.INPUT, message) for video, message in plan.broken.items()
    ]
    pairs = [
        Failure(item.video, item.member, item.category, item.message, item.attempts)
        for item in outcome.given_up
    ]
    videos = [Failure(item.video, None, item.category, item.message) for item in outcome.unfinished]
    return [*broken, *pairs, *videos]


def describe_plan(plan: Plan) -> str:
    """What ``--dry-run`` prints: pairs, estimated cost, memory."""
    from ensemble.plan import calibration_notes
    from stseg.tables import format_table

    rows = []
    units = sum(pair.units for pair in plan.pairs)
    for member in plan.job.config.members:
        mine = [pair for pair in plan.pairs if pair.member == member.name]
        whole = len(plan.whole[member.name])
        share = sum(pair.units for pair in mine) / units if units else 0.0
        rows.append([member.name, member.adapter, str(len(mine)), str(whole), f"{100 * share:.0f}"])
    table = format_table(["member", "adapter", "to run", "whole", "% of cost"], rows)
    sizes = [(found.height * found.width, name) for name, found in plan.inputs.items()]
    largest = max(sizes, default=(0, ""))
    members = len(plan.job.config.members)
    # Per member: ids, soft masks and scoring maps of one frame; nothing grows with length.
    finish = largest[0] * (members + 1) * 12 / 2**20
    lines = [
        f"{len(plan.videos)} videos: {len(plan.finished)} finished,"
        f" {len(plan.inputs) - len(plan.finished)} to do, {len(plan.broken)} unusable",
        f"{len(plan.pairs)} pairs to run, {units / 1e9:.2f} Gpx (frames x objects x pixels)",
        table,
        f"memory of finishing a video: about {finish:.0f} MiB above the interpreter"
        f" (largest frame: {largest[1]})",
    ]
    lines += [f"unusable: {message}" for message in plan.broken.values()]
    lines += calibration_notes(plan.job)
    return "\n".join(lines)


def report_end(config: RunConfig, summary: Summary, directory: RunDirectory) -> None:
    """Where everything is, and what failed."""
    say(f"{summary.videos} videos in {summary.seconds:.1f} s: {directory.root / 'masks'}")
    if config.output.submission and summary.videos:
        say(f"submission: {directory.root / 'submission.zip'}")
    if config.output.report and summary.videos:
        say(f"report: {directory.root / 'report' / 'index.html'}")
    if summary.failures:
        say(f"{len(summary.failures)} failures, see {directory.root / 'failures.json'}:")
        for failure in summary.failures[:5]:
            say(f"  {failure.sentence()}")


if __name__ == "__main__":
    run_command(main)
