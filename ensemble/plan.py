"""Before anything runs: which videos and pairs there are, what is whole already, what it costs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ensemble.config import BUILT_IN_DATASET, MemberConfig, RunConfig
from ensemble.events import Pair
from ensemble.rundir import RunDirectory, digest, file_digest
from ensemble.worker import RunJob, find_weights
from mose import InputError, Video
from mose.config import to_dict
from mose.dataset import Dataset, open_dataset
from mose.errors import unknown

RESULT_VERSION = 1
"""Part of every resume key: raised when a release changes what the same options give."""


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    job         the work, as workers get it
    videos      names of all videos of the run, in order
    finished    video -> selection record, for those that are whole
    whole       member -> videos whose prediction is whole (of videos not finished)
    pairs       what is left to run
    broken      video -> sentence, for those that cannot be run at all
    """

    job: RunJob
    videos: tuple[str, ...]
    finished: dict[str, dict[str, Any]]
    whole: dict[str, tuple[str, ...]]
    pairs: tuple[Pair, ...]
    broken: dict[str, str]


def make_plan(config: RunConfig, dataset: Dataset, run: RunDirectory, lease: str = "") -> Plan:
    """Compare what is wanted with what is there. Decodes no frame.

    lease   token of the driver's lease, which workers check before they write
    """
    hashes = {member.name: weights_hash(member) for member in config.members}
    member_keys = {
        member.name: digest(RESULT_VERSION, member.adapter, member.options, hashes[member.name])
        for member in config.members
    }
    pair_keys: dict[str, dict[str, str]] = {member.name: {} for member in config.members}
    video_keys: dict[str, str] = {}
    finished: dict[str, dict[str, Any]] = {}
    whole: dict[str, list[str]] = {member.name: [] for member in config.members}
    pairs: list[Pair] = []
    broken: dict[str, str] = {}
    videos = choose_videos(dataset, config.data.videos)
    how = digest(RESULT_VERSION, to_dict(config.fusion), to_dict(config.selection))
    for name in videos:
        try:
            video = dataset.video(name)
            video.check_prompts()
            print_ = video.fingerprint()
            units = float(cost_units(video))
        except (InputError, OSError) as error:
            broken[name] = str(error)
            continue
        for member in config.members:
            pair_keys[member.name][name] = digest(member_keys[member.name], print_)
        priors = {member.name: member.prior for member in config.members}
        labelled = dataset.labels is not None
        keys = [pair_keys[member.name][name] for member in config.members]
        video_keys[name] = digest(how, keys, priors, labelled)
        record = run.finished(name, video_keys[name])
        if record is not None and not record["missing_members"]:
            kept = [run.whole_pair(m.name, name, pair_keys[m.name][name]) for m in config.members]
            if not config.output.keep_soft or all(kept):
                finished[name] = record
                continue
        for member in config.members:
            if run.whole_pair(member.name, name, pair_keys[member.name][name]):
                whole[member.name].append(name)
            else:
                pairs.append(Pair(member.name, name, units))
    job = RunJob(config, dataset, run.root.resolve(), pair_keys, video_keys, hashes, lease)
    held = {member: tuple(names) for member, names in whole.items()}
    return Plan(job, videos, finished, held, tuple(pairs), broken)


def choose_videos(dataset: Dataset, patterns: Iterable[str]) -> tuple[str, ...]:
    """The data set's videos that match any of the patterns; all without patterns."""
    patterns = tuple(patterns)
    if not patterns:
        return tuple(dataset.videos)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in dataset.videos):
            raise unknown("video", pattern, dataset.videos, f" in {dataset.root}")
    return tuple(n for n in dataset.videos if any(fnmatchcase(n, p) for p in patterns))


def cost_units(video: Video) -> int:
    """Frames x objects x pixels: what a pair's cost grows with."""
    return len(video) * max(len(video.object_ids), 1) * video.height * video.width


def weights_hash(member: MemberConfig) -> str | None:
    """sha256 of a member's weights; None without any, or where they cannot be found.

    Missing weights are the member's failure when its worker starts, not the run's.
    """
    try:
        path = find_weights(member.weights)
        return file_digest(path) if path else None
    except (InputError, OSError):
        return None


def open_data(config: RunConfig, runs: Path) -> Dataset:
    """The data set of a run, with absolute paths; the built-in one is made where it is missing."""
    data = config.data
    root = Path(data.dataset)
    if data.dataset == BUILT_IN_DATASET:
        from mose.synthetic.dataset import GENERATOR, write_dataset

        root = runs / f"{BUILT_IN_DATASET}-data-{digest(data.synthetic, GENERATOR)[:6]}"
        options = {"processes": os.cpu_count() or 1, **data.synthetic}
        write_dataset(root, split=data.split, progress=True, **options)
    return open_dataset(
        root.resolve(), data.split, annotations=data.annotations or None, labels=data.labels
    )
