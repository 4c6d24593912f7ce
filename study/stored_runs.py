"""Evidence for a study: every video of a run under several fusions, kept for the next time.

A run that was refined or corrected by hand is studied as it was finished last."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ensemble.config import RunConfig, load_config, prior_of
from ensemble.fusion.frame_loop import FusionSetup, VideoMembers
from ensemble.pipeline import with_corrections_by_hand
from ensemble.plan import choose_videos, open_data
from ensemble.refinement.follow_back import read_scores
from ensemble.storage.predictions import Prediction, read_manifest
from ensemble.storage.run_directory import RunDirectory, existing_run
from mose.dataset import Dataset
from mose.readers.lists import NameList
from selection.calibration import Calibration
from selection.evidence import Evidence
from selection.models import Curve
from stseg.config import to_dict
from stseg.errors import InputError, unknown
from stseg.files import digest
from stseg.progress import Progress
from study.replay import evidence_of

VERSION = 8
"""Raised when evidence is made differently, so that kept evidence is made again."""


@dataclass(frozen=True)
class Study:
    """What a run offers to a study.

    config    of the run
    dataset   with labels
    run       its folder
    members   that have a prediction of every video in ``videos``
    videos    names
    left_out  video -> member that has no stored prediction of it
    """

    config: RunConfig
    dataset: Dataset
    run: RunDirectory
    members: tuple[str, ...]
    videos: tuple[str, ...]
    left_out: dict[str, str]


def open_study(
    root: str | Path, labels: str | None, videos: Sequence[str] | NameList = ()
) -> Study:
    """A run with labels.

    videos  the names or patterns of those to take, or a list of names; empty: those of the run

    Raises `InputError` where it has no stored predictions or labels, and where a name means no
    video of its data set.
    """
    run = existing_run(root)
    config = load_config(run.config)
    if labels is not None:
        config = replace(config, data=replace(config.data, labels=labels))
    if config.data.labels is None:
        raise InputError(f"run {root} was made without labels: name their folder with --labels")
    dataset = with_corrections_by_hand(open_data(config, Path("runs")), run)
    names = asked_videos(config, dataset, videos)
    members = tuple(member.name for member in config.members)
    kept, left_out = [], {}
    for name in names:
        missing = [m for m in members if read_manifest(run.prediction(m, name)) is None]
        if missing:
            left_out[name] = missing[0]
        else:
            kept.append(name)
    if not kept:
        raise InputError(
            f"run {root} has no video with the predictions of all its members: run it with"
            " --keep-soft"
        )
    return Study(config, dataset, run, members, tuple(kept), left_out)


def open_finished(root: str | Path, videos: Sequence[str] | NameList = ()) -> Study:
    """A run with those of ``videos`` that it has finished; it needs neither labels nor predictions.

    Raises `InputError` where there is none, and where a name means no video of its data set.
    """
    run = existing_run(root)
    config = load_config(run.config)
    dataset = open_data(config, Path("runs"))
    names = asked_videos(config, dataset, videos)
    kept = tuple(name for name in names if run.evidence_path(name).is_file())
    if not kept:
        raise InputError(f"run {root} has not finished any of the videos: let it finish first")
    return Study(config, dataset, run, tuple(m.name for m in config.members), kept, {})


def asked_videos(
    config: RunConfig, dataset: Dataset, videos: Sequence[str] | NameList
) -> tuple[str, ...]:
    """The names of videos that a command was given by names, patterns or a list; of none given,
    those of the run."""
    if isinstance(videos, NameList):
        videos = listed_videos(videos, dataset)
    return choose_videos(dataset, tuple(videos) or config.data.videos)


def listed_videos(names: NameList, dataset: Dataset) -> tuple[str, ...]:
    """The videos of a data set that a list names; `InputError` for an entry that means none, and
    for an empty list."""
    matched = names.matched(dataset.videos)
    if matched.nowhere:
        raise unknown("video", matched.nowhere[0], dataset.videos, f", which {names.path} lists")
    if not matched.names:
        raise InputError(f"list of videos {names.path} is empty: write a name per line")
    return matched.names


def priors_of(study: Study, calibration: Calibration | None) -> dict[str, float]:
    """Member -> expected J&F in (0, 1)."""
    return {member.name: prior_of(member, calibration) for member in study.config.members}


def gather(
    study: Study,
    setups: Sequence[FusionSetup],
    calibration: Calibration | Mapping[str, Calibration] | None = None,
    processes: int | None = None,
) -> dict[str, list[Evidence]]:
    """Video -> its evidence for each of ``setups``; what was made before is read.

    calibration   of all videos, or of each by its name
    """
    jobs = []
    for name in study.videos:
        own = calibration[name] if isinstance(calibration, Mapping) else calibration
        priors = priors_of(study, own)
        curves = {m: c for m, c in (own.curves if own else {}).items() if m in priors}
        jobs.append((study, name, priors, curves, tuple(setups)))
    by_video: dict[str, list[Evidence]] = {}
    workers = min(processes or os.cpu_count() or 1, len(jobs))
    bar = Progress(len(jobs), "videos")
    if workers == 1:
        for job in jobs:
            by_video[job[1]] = one_video(*job)
            bar.advance()
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for job, evidence in zip(jobs, pool.map(_unpacked, jobs), strict=True):
                by_video[job[1]] = evidence
                bar.advance()
    bar.close()
    return by_video


def _unpacked(job: tuple[Study, str, dict[str, float], dict[str, Curve], tuple[FusionSetup, ...]]):
    return one_video(*job)


def one_video(
    study: Study,
    name: str,
    priors: Mapping[str, float],
    curves: Mapping[str, Curve],
    setups: Sequence[FusionSetup],
) -> list[Evidence]:
    """Evidence of one video for each setup, from the study's folder where it is there."""
    paths = [kept_path(study, name, priors, curves, setup) for setup in setups]
    missing = [setup for setup, path in zip(setups, paths, strict=True) if not path.is_file()]
    if missing:
        video = study.dataset.video(name)
        labels = study.dataset.label_masks(name, video)
        with ExitStack() as stack:
            predictions = [
                Prediction(study.run.current_prediction(member, name)) for member in priors
            ]
            for prediction in predictions:
                stack.callback(prediction.close)
            said = np.asarray(list(priors.values()))
            members = VideoMembers(video, tuple(priors), predictions, said, curves)
            made = evidence_of(members, missing, labels)
        for setup, evidence in zip(missing, made, strict=True):
            path = paths[list(setups).index(setup)]
            path.parent.mkdir(parents=True, exist_ok=True)
            evidence.save(path)
    evidences = [Evidence.load(path) for path in paths]
    for evidence in evidences:
        # kept apart: a run may follow members back after its evidence was kept
        read_scores(study.run, evidence, evidence.members)
    return evidences


def kept_path(
    study: Study,
    name: str,
    priors: Mapping[str, float],
    curves: Mapping[str, Curve],
    setup: FusionSetup,
) -> Path:
    """Where the evidence lies; the name changes with everything that it depends on."""
    stamps = {member: study.run.current_stamp(member, name) for member in setup.members}
    drawn = sorted(study.run.corrections(name).glob("*.png"))
    key = digest(
        VERSION,
        str(study.dataset.labels_folder(name)),
        [(path.name, path.stat().st_mtime_ns) for path in drawn],
        to_dict(setup.options),
        {member: (priors[member], stamps[member]) for member in setup.members},
        {member: to_dict(curves[member]) for member in setup.members if member in curves},
    )
    return study.run.study_evidence(f"{name}-{key[:12]}")
