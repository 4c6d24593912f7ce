"""One round by stages, each kept once it is whole: sets, trainings, run, verdict.

::

    OUTPUT/rounds.json             what was asked for
    OUTPUT/r1/training/            see `study.rounds.training_set`
    OUTPUT/r1/guard/<member>/      see `study.rounds.guard_set`
    OUTPUT/r1/weights/<member>/    see `study.rounds.learning`
    OUTPUT/r1/masks/<member>/      instead, with --per-video: see `study.rounds.per_video`
    OUTPUT/r1/run/                 a run folder, with the old members and the new ones
    OUTPUT/r1/verdict.json         what the held-out videos say
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ensemble.config import ExecutionConfig, MemberConfig, calibration_of, family, prior_of
from ensemble.pipeline import run as run_pipeline
from ensemble.storage.predictions import read_manifest
from ensemble.storage.run_directory import open_run
from mose.dataset import open_dataset
from mose.layout import ANNOTATIONS
from stseg.cli import print_line
from stseg.config import to_dict
from stseg.errors import InputError
from stseg.files import PARTIAL, appearing, digest, locked, read_json, write_json
from study.rounds.guard_set import write_guard_set
from study.rounds.learning import Pupil, Train, learn
from study.rounds.options import WEIGHTS, Lessons, RoundsConfig, check_members
from study.rounds.per_video import adapt_per_video
from study.rounds.source import FinishedRun, held_out_videos, open_finished
from study.rounds.training_set import write_training_set
from study.rounds.verdict import Verdict, judge_round


@dataclass(frozen=True)
class RoundPaths:
    """Where the parts of one round lie."""

    root: Path
    number: int

    @property
    def folder(self) -> Path:
        return self.root / f"r{self.number}"

    @property
    def training(self) -> Path:
        return self.folder / "training"

    def guard(self, member: str) -> Path:
        return self.folder / "guard" / member

    def weights(self, member: str) -> Path:
        return self.folder / "weights" / member

    def masks(self, member: str) -> Path:
        return self.folder / "masks" / member

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def verdict(self) -> Path:
        return self.folder / "verdict.json"


@dataclass(frozen=True)
class Order:
    """What is asked for.

    source      is the folder of the finished run
    output      is where everything is written
    members     are the names of those that learn
    config      says how
    execution   says where members run; its device is that of the trainings, too
    labelled    is a data set with labels that is mixed in, or None
    per_video   asks for members that learn one video at a time
    """

    source: Path
    output: Path
    members: tuple[str, ...]
    config: RoundsConfig
    execution: ExecutionConfig
    labelled: Path | None = None
    per_video: bool = False

    @property
    def device(self) -> str:
        return self.execution.device


@dataclass(frozen=True)
class Split:
    """The videos of a run: those that are trained on, and those that are held out."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]

    @classmethod
    def of(cls, source: FinishedRun, config: RoundsConfig) -> Split:
        """Drawn from the names alone, so that all rounds hold out the same videos."""
        options, names = config.rounds, sorted(source.records)
        held_out = held_out_videos(names, options.held_out, options.seed)
        return cls(tuple(name for name in names if name not in held_out), held_out)


def run_rounds(order: Order, count: int, train: Train) -> Iterator[tuple[int, Verdict]]:
    """Round after round, until one is not adopted; what is whole already is kept.

    Raises `InputError` where the output folder belongs to something else, or another command is at
    work in it.
    """
    first = open_finished(order.source)
    check_members(order.config, order.members, first.config.members)
    if order.labelled is not None:
        open_dataset(order.labelled, "train", labels=ANNOTATIONS)
    claim_output(order, first)
    with locked(order.output / "rounds.json", wait=False) as ours:
        if not ours:
            raise InputError(f"another command is at work in {order.output}: wait for its end")
        source = first
        for number in range(1, count + 1):
            paths = RoundPaths(order.output, number)
            verdict = run_round(order, source, paths, train)
            yield number, verdict
            if not verdict.adopted:
                return
            source = open_finished(paths.run)


def run_round(order: Order, source: FinishedRun, paths: RoundPaths, train: Train) -> Verdict:
    """One round; its verdict."""
    stored = read_json(paths.verdict)
    if stored is not None:
        return Verdict.parse(stored)
    paths.folder.mkdir(parents=True, exist_ok=True)
    for place in ("", "guard/", "masks/*/"):
        for left in paths.folder.glob(f"{place}.*{PARTIAL}"):  # of a command that was killed
            shutil.rmtree(left, ignore_errors=True)
    split = Split.of(source, order.config)
    members = {member.name: member for member in source.config.members}
    pupils = [pupil_of(order, members[name], split, paths) for name in order.members]
    learning = split.trained if not order.per_video else (*split.trained, *split.held_out)
    write_sets(order, source, learning, pupils)
    adapted = [adapt(order, source, pupil, paths.number, train) for pupil in pupils]
    after = run_beside(order, source, adapted, paths)
    names = [member.name for member in adapted]
    differences = judge_round(source, after, names, split.held_out, order.config.rounds)
    learnt = read_json(paths.training / WEIGHTS) or {}
    left_out = tuple(name for name in learning if name not in learnt)
    verdict = Verdict(split.held_out, differences, left_out)
    write_json(paths.verdict, verdict.json())
    return verdict


def pupil_of(order: Order, member: MemberConfig, split: Split, paths: RoundPaths) -> Pupil:
    """A member with what it learns from."""
    lessons = Lessons(
        paths.training.resolve(),
        None if order.per_video else paths.guard(member.name).resolve(),
        order.labelled and order.labelled.resolve(),
        () if order.per_video else split.held_out,
    )
    output = (paths.masks if order.per_video else paths.weights)(member.name)
    title = f"round {paths.number}, {member.name}"
    return Pupil(member, lessons, output, title, order.device)


def write_sets(
    order: Order, source: FinishedRun, videos: Sequence[str], pupils: Sequence[Pupil]
) -> None:
    """Write what the pupils learn from, where it is not there yet."""
    options, lessons = order.config.rounds, pupils[0].lessons
    if not lessons.training.is_dir():
        print_line(f"a training set of {len(videos)} videos: {lessons.training}")
        clips = [pupil.recipe(order.config).data.frames for pupil in pupils]
        least = 2 if order.per_video else max(clips)
        write_training_set(source, videos, options, lessons.training, least)
    for pupil in pupils:
        guard = pupil.lessons.guard
        if guard is not None and not guard.is_dir():
            write_guard_set(source, pupil.lessons.exclude, pupil.member.name, guard)


def adapt(
    order: Order, source: FinishedRun, pupil: Pupil, number: int, train: Train
) -> MemberConfig:
    """The new member that a pupil becomes, with the prior of the old one."""
    old = pupil.member
    new = replace(
        old,
        name=f"{family(old.name)}@r{number}",
        prior=100 * prior_of(old, calibration_of(source.config)),
        transductive=True,
    )
    if order.per_video:
        adapt_per_video(pupil, order.config, source, train)
        masks = {"path": str(pupil.output.resolve())}
        return replace(new, adapter="folder", weights=None, options=masks)
    weights = learn(pupil, order.config, train)
    return replace(new, weights=str(weights.resolve()))


def run_beside(
    order: Order, source: FinishedRun, adapted: Sequence[MemberConfig], paths: RoundPaths
) -> FinishedRun:
    """A finished run of the old members and the new ones; the old ones do not run again."""
    config = replace(
        source.config,
        members=(*source.config.members, *adapted),
        execution=order.execution,
        output=replace(source.config.output, path=str(paths.run), keep_soft=True),
    )
    open_run(paths.run, to_dict(config), source.dataset.images, overwrite=False)
    keep_predictions(source, paths.run)
    run_pipeline(config)
    return open_finished(paths.run)


def keep_predictions(source: FinishedRun, folder: Path) -> None:
    """Bring the old members' predictions into the new run, as links to the same files where the
    disk has such."""
    after = replace(source.run, root=folder)
    for video in source.records:
        for name in source.names_in(video):
            target = after.prediction(name, video)
            if read_manifest(target) is None:
                target.parent.mkdir(parents=True, exist_ok=True)
                with appearing(target) as partial:
                    for path in source.run.prediction(name, video).iterdir():
                        _link(path, partial / path.name)


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def claim_output(order: Order, source: FinishedRun) -> None:
    """Write what was asked for into the output folder; `InputError` where it holds other rounds
    or something else."""
    asked = {
        "run": str(order.source.resolve()),
        "members": list(order.members),
        "device": order.device,
        "per_video": order.per_video,
        "labelled": str(order.labelled.resolve()) if order.labelled else None,
        "key": digest(
            to_dict(order.config),
            {video: record.provenance.key for video, record in source.records.items()},
        ),
    }
    mark = order.output / "rounds.json"
    stored = read_json(mark)
    if stored is None and order.output.is_dir() and any(order.output.iterdir()):
        raise InputError(f"output {order.output} is not an empty folder: choose a new one")
    if stored is not None and stored != asked:
        changed = ", ".join(key for key in asked if stored.get(key) != asked[key])
        raise InputError(
            f"output {order.output} holds rounds with other settings ({changed}): choose another"
            " --output"
        )
    order.output.mkdir(parents=True, exist_ok=True)
    write_json(mark, asked)
