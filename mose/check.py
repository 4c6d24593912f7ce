"""Says what a server would reject or silently score as zero: ``python -m mose.check PATH``."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from mose.boards import Board, MaskForm, board_named, boards, chosen_board, shown_board
from mose.boards.checks import (
    ObjectResults,
    folder_findings,
    object_findings,
    prefix_of,
    region_findings,
)
from mose.boards.mose import BOARD as MOSE
from mose.boards.opening import open_board_dataset
from mose.check_dataset import passed_over, video_findings
from mose.dataset import Dataset
from mose.findings import Finding, Report
from mose.layout import is_dataset, split_folders
from mose.palette import values
from mose.readers.meaning import MaskMeaning, undecided
from mose.results import (
    Results,
    by_video,
    first_mask_finding,
    judge_mask,
    name_findings,
)
from mose.video import Video
from stseg.cli import EXIT_INCOMPLETE, EXIT_OK, CommandParser, print_line, run_command
from stseg.errors import InputError
from stseg.progress import Progress

ONE_OBJECT = MaskMeaning.ONE_OBJECT
WORTH_PROCESSES = 8
"""Fewer videos than this are checked faster without starting other processes."""

LAYOUT = """\
PATH is one of
  a data set      JPEGImages/<video>/00000.jpg and Annotations/<video>/00000.png, or
                  train, valid, test that hold such; DAVIS's folders and lists
  a results folder  <video>/00000.png
  a zip of one    <video>/00000.png, read in place

--board tells the rules of the server: where the videos lie in the zip, of which frames it
wants masks, in which form; a data set often shows which board it is of.

Results are held against the data set that --dataset names; without it, missing videos,
missing frames and foreign ids cannot be seen. Frames of a data set are checked by their
header and end, masks are decoded.

Exit code: 0 nothing, or notes only; 1 something would be rejected or scored as zero;
2 PATH or the data set cannot be read.
"""


def check_results(
    path: str | Path,
    dataset: Dataset | None = None,
    processes: int | None = None,
    board: Board = MOSE,
) -> Report:
    """Check a folder or zip of masks by the rules of a board, against a data set where one is
    given.

    Raises `InputError` where there is nothing to check or a zip holds absolute names or
    names with ``..``.
    """
    _opened.cache_clear()  # the same path may hold something else by now
    results = Results(path)
    known = dataset.videos if dataset else ()
    against = f" against {dataset.name} ({dataset.split})" if dataset else ""
    if board.form is MaskForm.REGIONS:
        if dataset is None:
            raise InputError(f"regions are checked against a data set: give --dataset for {path}")
        findings = region_findings(board, results, dataset)
        return Report(f"{path}{against}", len(known), tuple(findings))
    prefix = prefix_of(board.form, results.names, known)
    files = by_video(results.names, prefix)
    strays = files.pop("", [])
    if not files:
        raise InputError(f"{path} holds no masks: expected <video>/00000.png in it")
    findings = list(folder_findings(board, results, prefix, len(files)))
    findings += _whole_findings(results, strays)
    findings += _video_set_findings(sorted(files), dataset)
    check = partial(_check_result_video, results.path, prefix, dataset, board)
    videos = sorted(set(files) & set(known) if dataset else files)
    items = [(name, tuple(files[name])) for name in videos]
    findings += _over_videos(check, items, processes)
    return Report(f"{path}{against}", len(files), tuple(findings))


def check_dataset(dataset: Dataset, processes: int | None = None) -> Report:
    """Check the frames and given masks of a data set."""
    findings = [*dataset.notes, *passed_over(dataset)]
    findings += _over_videos(partial(video_findings, dataset), dataset.videos, processes)
    subject = f"data set {dataset.name} ({dataset.split})"
    return Report(subject, len(dataset), tuple(findings))


def _whole_findings(results: Results, strays: Iterable[str]) -> Iterator[Finding]:
    """What concerns the folder or zip as a whole, whatever the board."""
    if results.unusual:
        yield Finding(
            "dot-slash",
            f"{results.path} writes names like '{results.unusual}', which unpack as they should:"
            " they are read so, pack plain names like <video>/00000.png",
            file=results.unusual,
        )
    for name in results.duplicates:
        yield Finding("duplicate-entry", f"entry {name} is there twice: pack it again", file=name)
    for name in strays:
        yield Finding("stray-file", f"file {name} lies in no video's folder", file=name)


def _video_set_findings(there: Sequence[str], dataset: Dataset | None) -> Iterator[Finding]:
    if dataset is None:
        return
    where = f"{dataset.name} ({dataset.split})"
    for name in sorted(set(dataset.videos) - set(there)):
        yield Finding("missing-video", f"video {name} is missing: it scores zero", name)
    for name in sorted(set(there) - set(dataset.videos)):
        yield Finding("unknown-video", f"folder {name} is no video of {where}", name)


@dataclass(frozen=True)
class Expected:
    """What the data set says about a video's results; None where it says nothing.

    frames   names of its frames
    wanted   those of them that must have a mask; None: all
    size     (height, width)
    ids      every id that is given
    meaning  how the data set's own masks of the video are read
    first    file name of the first given mask, and that mask: ``(height, width) uint8``
    """

    frames: Sequence[str] | None = None
    wanted: Collection[str] | None = None
    size: tuple[int, int] | None = None
    ids: Sequence[int] | None = None
    meaning: MaskMeaning = MaskMeaning.OBJECT_IDS
    first: tuple[str, np.ndarray] | None = None


def _expected(video: Video, wanted: Collection[str] | None) -> Expected:
    """`InputError` where the video's given masks cannot be used."""
    video.check_prompts()
    index = next(iter(video.prompts))
    return Expected(
        frames=video.frame_names,
        wanted=wanted,
        size=(video.height, video.width),
        ids=video.object_ids,
        meaning=video.prompts.meaning,
        first=(f"{video.frame_names[index]}.png", video.prompts[index]),
    )


def _check_result_video(
    path: Path,
    prefix: str,
    dataset: Dataset | None,
    board: Board,
    item: tuple[str, tuple[str, ...]],
) -> list[Finding]:
    name, files = item
    folder = f"{prefix}{name}/"
    expected = Expected()
    try:
        if dataset is not None:
            expected = _expected(dataset.video(name), board.wanted(dataset, name))
        if board.form is MaskForm.PER_OBJECT:
            results = _opened(path, os.getpid())
            there = ObjectResults(results, name, folder, files, expected.size)
            return object_findings(board, there, dataset)
    except InputError as error:
        return [Finding("video", f"the data set cannot be used: {error}", name)]
    findings = list(name_findings(name, files, expected.frames, folder, expected.wanted))
    for file in files:
        if file.endswith(".png"):
            mask, wrong = _check_mask(path, folder, name, file, expected)
            findings += wrong
            if expected.size is None and mask is not None:
                expected = Expected(size=(mask.shape[0], mask.shape[1]))
    return findings


def _check_mask(
    path: Path, folder: str, video: str, file: str, expected: Expected
) -> tuple[np.ndarray | None, list[Finding]]:
    """One mask as ids, where it can be decoded, and what is wrong with it."""
    name = f"{folder}{file}"
    try:
        data = _opened(path, os.getpid()).read(name)
    except InputError as error:
        return None, [Finding("undecodable", str(error), video, file)]
    mask, findings = judge_mask(data, name, video, expected.size, expected.ids)
    if mask is not None and undecided(values(mask)) and expected.meaning is ONE_OBJECT:
        mask = expected.meaning.ids(mask)
        findings = [finding for finding in findings if finding.rule != "object-id"]
    if mask is not None and expected.first and file == expected.first[0]:
        changed = first_mask_finding(mask, expected.first[1], name, video)
        findings += [changed] if changed else []
    return mask, findings


@lru_cache(maxsize=1)
def _opened(path: Path, process: int) -> Results:
    """The results, opened once in every process: forked ones would share a file position."""
    return Results(path)


def _over_videos(
    check: Callable[[Any], list[Finding]], items: Sequence[Any], processes: int | None
) -> list[Finding]:
    """Findings of every item, in order, by several processes where that pays."""
    wanted = processes or os.cpu_count() or 1
    bar = Progress(len(items), "checking")
    findings: list[Finding] = []

    def gather(answers: Iterable[list[Finding]]) -> None:
        for answer in answers:
            findings.extend(answer)
            bar.advance()

    if wanted == 1 or len(items) < WORTH_PROCESSES:
        gather(map(check, items))
    else:
        with ProcessPoolExecutor(min(wanted, len(items))) as pool:
            gather(pool.map(check, items, chunksize=max(1, len(items) // (wanted * 16))))
    bar.close()
    return findings


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "mose.check", "Say what a server would reject or silently score as zero.", epilog=LAYOUT
    )
    parser.add_argument("path", metavar="PATH", type=Path)
    parser.add_argument("--dataset", type=Path, metavar="ROOT", help="check results against it")
    parser.add_argument("--split", help="train, valid, test; of a data set: every split")
    parser.add_argument(
        "--annotations",
        action="append",
        metavar="FOLDER",
        help="folder of given masks, relative to the split (default Annotations); repeatable",
    )
    parser.add_argument("--board", choices=tuple(boards()), help="(default: as the data set shows)")
    parser.add_argument("--corrections", type=Path, metavar="DIR", help="check these as well")
    parser.add_argument("--processes", type=int, metavar="N", help="default: one per CPU core")
    parser.add_argument("--json", action="store_true", help="print every finding as JSON")
    return parser


def _reports(args: argparse.Namespace, scratch: Path) -> list[Report]:
    """What there is to say of PATH; a line of the board first, where it is not the usual one."""
    root = args.dataset or (args.path if is_dataset(args.path) or shown_board(args.path) else None)
    if root is None:
        board = board_named(args.board) if args.board else MOSE
    else:
        board, sentence = chosen_board(args.board, root)
        if not args.json and (args.board or board is not MOSE):
            print_line(sentence)
    place = root or args.path
    opened = partial(open_board_dataset, board, place, scratch, annotations=args.annotations,
                     corrections=args.corrections)  # fmt: skip
    if root is None or args.dataset is not None:
        dataset = opened(split=args.split) if args.dataset is not None else None
        return [check_results(args.path, dataset, args.processes, board)]
    chosen = (args.split,) if args.split else split_folders(args.path) or (None,)
    return [check_dataset(opened(split=split), args.processes) for split in chosen]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        reports = _reports(args, Path(scratch))
    accepted = all(report.accepted for report in reports)
    if args.json:
        checks = [report.json() for report in reports]
        print_line(json.dumps({"accepted": accepted, "checks": checks}, indent=2))
    else:
        for report in reports:
            for line in report.table():
                print_line(line)
    return EXIT_OK if accepted else EXIT_INCOMPLETE


if __name__ == "__main__":
    run_command(main)
