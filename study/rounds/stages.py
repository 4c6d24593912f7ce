"""One round by stages, each kept once it is whole: training set, trainings, run, verdict.

::

    OUTPUT/rounds.json             what was asked for, and the verdict of every round
    OUTPUT/r1/training/            see `study.rounds.training_set`
    OUTPUT/r1/weights/<member>/    as the trainer leaves it
    OUTPUT/r1/run/                 a run folder, with the old members and the new ones
    OUTPUT/r1/verdict.json         what the held-out videos say
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ensemble.config import ExecutionConfig, MemberConfig, RunConfig, calibration_of, prior_of
from ensemble.pipeline import run as run_pipeline
from ensemble.storage.predictions import read_manifest
from ensemble.storage.run_directory import open_run
from finetune.holdout import video_score
from finetune.launch import TrainingJob
from finetune.stage_runs import steps_done
from stseg.cli import print_line
from stseg.config import to_dict
from stseg.errors import InputError
from stseg.files import appearing, digest, read_json, write_json
from study.rounds.options import RoundsConfig, check_members, family, recipe_for
from study.rounds.source import FinishedRun, held_out_videos, open_finished
from study.rounds.training_set import write_training_set
from study.rounds.verdict import Verdict, judge_round

Train = Callable[[TrainingJob], None]


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

    def weights(self, member: str) -> Path:
        return self.folder / "weights" / member

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
    """

    source: Path
    output: Path
    members: tuple[str, ...]
    config: RoundsConfig
    execution: ExecutionConfig

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

    Raises `InputError` where the output folder belongs to something else.
    """
    first = open_finished(order.source)
    check_members(order.config, order.members, first.config.members)
    claim_output(order, first)
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
    split = Split.of(source, order.config)
    known = {member.name: member for member in source.config.members}
    learners = [known[name] for name in order.members]
    paths.folder.mkdir(parents=True, exist_ok=True)
    if not paths.training.is_dir():
        print_line(f"round {paths.number}: a training set of {len(split.trained)} videos")
        write_training_set(source, split.trained, order.config.rounds, paths.training)
    for member in learners:
        train_member(order, member, paths, train)
    adapted = [adapted_member(source.config, member, paths) for member in learners]
    config = run_config(order, source.config, adapted, paths.run)
    open_run(paths.run, to_dict(config), source.dataset.images, overwrite=False)
    keep_predictions(source, paths.run)
    run_pipeline(config)
    after = open_finished(paths.run)
    learnt = read_json(paths.training / "weights.json") or {}
    names = [member.name for member in adapted]
    verdict = Verdict(
        split.held_out,
        judge_round(source, after, names, split.held_out),
        tuple(name for name in split.trained if name not in learnt),
    )
    write_json(paths.verdict, verdict.json())
    return verdict


def train_member(order: Order, member: MemberConfig, paths: RoundPaths, train: Train) -> None:
    """Train a member on the round's training set, or go on where its training was stopped.

    Every round starts from the weights that the run had, and not from those of the round before:
    so errors of a round are not learnt twice.
    """
    recipe = recipe_for(order.config, member, paths.training.resolve(), order.device)
    output = paths.weights(member.name)
    done = steps_done(recipe, output)
    title = f"round {paths.number}, {member.name}"
    if done == recipe.steps and (output / "last.safetensors").is_file():
        print_line(f"{title}: trained")
        return
    print_line(f"{title}: {recipe.steps} steps" + (f", from step {done} on" if done else ""))
    train(TrainingJob(recipe, output, done > 0, video_score))


def adapted_member(config: RunConfig, member: MemberConfig, paths: RoundPaths) -> MemberConfig:
    """The member of a round, with the prior of the one that it comes from."""
    return replace(
        member,
        name=f"{family(member.name)}@r{paths.number}",
        weights=str((paths.weights(member.name) / "last.safetensors").resolve()),
        prior=100 * prior_of(member, calibration_of(config)),
        transductive=True,
    )


def run_config(
    order: Order, config: RunConfig, adapted: Sequence[MemberConfig], folder: Path
) -> RunConfig:
    """A run of the old members and the new ones."""
    return replace(
        config,
        members=(*config.members, *adapted),
        execution=order.execution,
        output=replace(config.output, path=str(folder), keep_soft=True),
    )


def keep_predictions(source: FinishedRun, folder: Path) -> None:
    """Bring the old members' predictions into the new run, as links to the same files where the
    disk has such, so that none of these members runs again."""
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
