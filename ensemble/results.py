"""What a run ends with: failures, tables, submission, report, and where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ensemble.config import RunConfig
from ensemble.execution.driver import RunOutcome
from ensemble.plan import Plan, board_of, open_data
from ensemble.priors import note_on_priors
from ensemble.storage.run_directory import RunDirectory
from mose.boards import MaskForm, every_frame
from mose.boards.packing import MaskFolders, pack
from selection.record import SelectionRecord
from selection.report import write_report
from selection.summary import Summary, selection_csv, summarise
from stseg.cli import counted, print_line
from stseg.failures import Failure, FailureKind
from stseg.files import write_json, write_text


def write_results(
    config: RunConfig, plan: Plan, outcome: RunOutcome, directory: RunDirectory, seconds: float
) -> Summary:
    """Everything that is written once per run: failures, CSV, summary, zip, report."""
    failures = list_failures(plan, outcome)
    written = [v for v in plan.videos if v in plan.finished or v in outcome.finished]
    records = [record for v in written if (record := directory.record(v))]
    summary = summarise(records, failures, seconds)
    write_json(directory.failures, {"failures": [failure.json() for failure in failures]})
    write_tables(config, directory, records, summary)
    return summary


def write_tables(
    config: RunConfig,
    directory: RunDirectory,
    records: Sequence[SelectionRecord],
    summary: Summary,
) -> None:
    """What is made from all records: CSV, summary, zip, report."""
    write_text(directory.table, selection_csv(records))
    write_json(directory.summary, summary.json())
    if config.output.submission and records:
        names = [record.video for record in records]
        pack_masks(config, directory, names)
    if config.output.report and records:
        write_report(directory.root)


def pack_masks(config: RunConfig, directory: RunDirectory, videos: Sequence[str]) -> None:
    """The zip that the server of the run's board takes."""
    board, _ = board_of(config)
    plain = board.form is MaskForm.IDS and board.wanted is every_frame
    dataset = None if plain else open_data(config, Path("runs"))
    folders = MaskFolders(directory.all_masks, directory.all_objects)
    pack(board, folders, directory.submission, videos, dataset)


def list_failures(plan: Plan, outcome: RunOutcome) -> list[Failure]:
    """What was given up, and why."""
    broken = [
        Failure(video, None, FailureKind.INPUT, message) for video, message in plan.broken.items()
    ]
    pairs = [
        Failure(item.video, item.member or None, item.category, item.message, item.attempts)
        for item in outcome.given_up
    ]
    videos = [Failure(item.video, None, item.category, item.message) for item in outcome.unfinished]
    return [*broken, *pairs, *videos]


def print_results(
    config: RunConfig, summary: Summary, directory: RunDirectory, videos: Sequence[str]
) -> None:
    """Print where the results are, what there is to know of the table, and what failed."""
    for note in (summary.note, note_on_priors(config, directory, videos)):
        if note:
            print_line(f"note: {note}")
    print_line(
        f"{counted(summary.videos, 'video')} in {summary.seconds:.1f} s: {directory.all_masks}"
    )
    if config.output.submission and summary.videos:
        print_line(f"submission: {directory.submission}")
    if config.output.report and summary.videos:
        print_line(f"report: {directory.report}")
    if summary.failures:
        print_line(f"{counted(len(summary.failures), 'failure')}, see {directory.failures}:")
        for failure in summary.failures[:5]:
            print_line(f"  {failure.sentence()}")
