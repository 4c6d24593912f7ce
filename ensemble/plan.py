"""The plan of a run: which videos and pairs there are, which of them are complete, and what the
rest costs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ensemble.config import BUILT_IN_DATASET, MemberConfig, RunConfig, calibration_of
from ensemble.job import RunJob, find_weights
from ensemble.resume import StoredWork, look_at_all
from ensemble.scheduling.messages import Pair
from ensemble.start_boxes import mask_of_boxes
from ensemble.storage.journal import Input, Journal, read_journal
from ensemble.storage.run_directory import RunDirectory
from mose import InputError
from mose.boards import Board, board_named, chosen_board
from mose.boards.mose import BOARD as MOSE
from mose.boards.opening import open_board_dataset
from mose.dataset import Dataset, matches_name
from mose.findings import Finding
from mose.single import open_single
from stseg.config import to_dict
from stseg.errors import unknown
from stseg.files import digest, file_digest

RESULT_VERSION = 1
"""Part of every resume key. It is raised when a release changes the results of the same options."""

SCORING = "all objects on all frames but the first and last label"
"""Part of the resume key of videos that are scored: it changes with what is scored."""


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    job         the work, as workers get it
    videos      names of all videos of the run, in order
    inputs      what planning needs of each video, except the broken ones
    finished    videos that are complete
    whole       member -> videos whose prediction is complete (of videos that are not finished)
    pairs       what is left to run
    broken      video -> why it cannot be run at all, in a sentence
    notes       what is worth knowing of how videos and lists were read
    """

    job: RunJob
    videos: tuple[str, ...]
    inputs: dict[str, Input]
    finished: frozenset[str]
    whole: dict[str, tuple[str, ...]]
    pairs: tuple[Pair, ...]
    broken: dict[str, str]
    notes: tuple[Finding, ...] = ()


def make_plan(
    config: RunConfig,
    dataset: Dataset,
    run: RunDirectory,
    lease: str = "",
    journal: Journal | None = None,
) -> Plan:
    """Compare what the run should make with what exists. Decodes no frame.

    lease    token of the driver's lease, which workers check before they write
    journal   of the run directory; None: read it from its file
    """
    journal = read_journal(run)[0] if journal is None else journal
    videos = choose_videos(dataset, config.data.videos)
    job = make_job(config, dataset, run, lease)
    with journal.together():
        inputs, broken, notes = look_at_all(dataset, videos, journal)
        stored = StoredWork(run, job, journal, clear=bool(lease))
        finished: set[str] = set()
        whole: dict[str, list[str]] = {member.name: [] for member in config.members}
        pairs: list[Pair] = []
        for name, video in inputs.items():
            if stored.is_finished(name, video.fingerprint):
                finished.add(name)
                continue
            for member in whole:
                if stored.is_whole(member, name, video.fingerprint):
                    whole[member].append(name)
                else:
                    pairs.append(Pair(member, name, video.units))
    held = {member: tuple(names) for member, names in whole.items()}
    return Plan(job, videos, inputs, frozenset(finished), held, tuple(pairs), broken, tuple(notes))


def make_job(config: RunConfig, dataset: Dataset, run: RunDirectory, lease: str) -> RunJob:
    """The work of a run, with the parts of its resume keys."""
    fetch = config.execution.fetch_weights
    hashes = {member.name: weights_hash(member, fetch) for member in config.members}
    # Members are then given whole masks, where there are such.
    whole = ["whole"] if config.output.overlap and dataset.per_object else []
    member_keys = {
        member.name: digest(
            RESULT_VERSION, member.adapter, member.options, hashes[member.name], *whole
        )
        for member in config.members
    }
    priors = {member.name: member.prior for member in config.members}
    calibration = calibration_of(config)
    how = digest(
        RESULT_VERSION,
        to_dict(config.fusion),
        to_dict(config.selection),
        calibration.json() if calibration else None,
        list(member_keys.items()),
        priors,
        dataset.labels is not None and SCORING,
        *(["overlap"] if config.output.overlap else []),
        *([to_dict(config.refinement)] if config.refinement.on else []),
    )
    return RunJob(config, dataset, run.root.resolve(), member_keys, how, hashes, lease)


def calibration_notes(job: RunJob) -> tuple[str, ...]:
    """Sentences about members whose weights are not those that the calibration was measured with.

    Options may differ, because videos are enlarged as suits them. Weights that cannot be found are
    not mentioned here, because their member fails when it starts.
    """
    calibration = calibration_of(job.config)
    if calibration is None:
        return ()
    measured = calibration.source.get("members", {})
    return tuple(
        f"calibration {calibration.name} was measured with other weights of {name}: what it says"
        " of this member may be wrong, measure it again with python -m selection.calibrate"
        for name, now in job.hashes.items()
        if now and measured.get(name, {}).get("weights_sha256") not in (None, now)
    )


def choose_videos(dataset: Dataset, patterns: Iterable[str]) -> tuple[str, ...]:
    """The data set's videos that match any of the patterns; all without patterns."""
    patterns = tuple(patterns)
    if not patterns:
        return tuple(dataset.videos)
    names = set(dataset.videos)
    chosen: set[str] = set()
    for pattern in patterns:
        matching = {pattern} if pattern in names else {n for n in names if matches_name(n, pattern)}
        if not matching:
            raise unknown("video", pattern, dataset.videos, f" in {dataset.root}")
        chosen |= matching
    return tuple(name for name in dataset.videos if name in chosen)


def weights_hash(member: MemberConfig, fetch: bool = False) -> str | None:
    """sha256 of a member's weights; None without any, or where they cannot be found.

    Missing weights fail the member when its worker starts, and not the run.
    """
    try:
        path = find_weights(member.weights, fetch)
        return file_digest(path) if path else None
    except (InputError, OSError):
        return None


def board_of(config: RunConfig) -> tuple[Board, str]:
    """The board of a run, and a sentence that says why it is that one."""
    data = config.data
    if data.dataset == BUILT_IN_DATASET:
        board = board_named(data.board or MOSE.name)
        return board, f"board {board.name}"
    return chosen_board(data.board, data.dataset)


def open_data(config: RunConfig, runs: Path) -> Dataset:
    """The data set of a run, with absolute paths; the built-in one is made if it is missing."""
    dataset = _open_single(config, runs) if config.data.single else _open_board(config, runs)
    return dataclasses.replace(dataset, overlapping=config.output.overlap)


def _open_board(config: RunConfig, runs: Path) -> Dataset:
    """The data set of a run over a whole one, as its board has it."""
    data = config.data
    root = Path(data.dataset)
    if data.dataset == BUILT_IN_DATASET:
        from mose.synthetic.dataset import write_dataset
        from mose.synthetic.plan import GENERATOR

        root = runs / f"{BUILT_IN_DATASET}-data-{digest(data.synthetic, GENERATOR)[:6]}"
        options = {"processes": os.cpu_count() or 1, **data.synthetic}
        write_dataset(root, split=data.split, progress=True, **options)
    board, _ = board_of(config)
    return open_board_dataset(
        board,
        root.resolve(),
        runs.resolve(),
        data.split,
        annotations=data.annotations or None,
        labels=data.labels,
        corrections=Path(data.corrections).resolve() if data.corrections else None,
    )


def _open_single(config: RunConfig, runs: Path) -> Dataset:
    """The video of a run over a single one; its mask is made where boxes are given."""
    data = config.data
    notes: tuple[Finding, ...] = ()
    mask = Path(data.mask) if data.mask else None
    if mask is None:
        mask, note = mask_of_boxes(config, runs)
        notes = (note,)
    dataset = open_single(data.dataset, mask, data.labels, data.corrections)
    return dataclasses.replace(dataset, notes=notes)
