"""Recipes of several stages: which there are, and in which order they are trained.

A recipe file may have ``stages``, by name and in order. A stage says what it changes against
the stage before it (the first one: against the file), and may name a file of shared changes by
``extends``. It starts from the weights of the stage before, unless it says otherwise:

    weights: null             random weights of ``sizes``; so does the first stage
    weights: other:stage      the weights of a stage, also of another recipe beside this one
    warm_start: other:stage   random weights of ``sizes``, but what is shared with that stage

``encoders`` and ``keys`` may name stages, too. What a stage leaves to others is its last
weights, or the mean that its ``average`` asks for. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.recipe import TrainingRecipe
from mose import InputError
from stseg.config import Values, assign, build, find_config, merge, one_of, option, read_yaml

STARTS = ("weights", "warm_start", "encoders", "keys")
"""Options of a recipe that name weights; each stage has its own."""


@dataclass(frozen=True, order=True)
class StageName:
    """A stage of a recipe, as ``recipe:stage``; ``recipe`` is its file without ``.yaml``."""

    recipe: str
    stage: str

    def __str__(self) -> str:
        return f"{self.recipe}:{self.stage}"


def parse_stage_name(text: str) -> StageName | None:
    """The stage that ``recipe:stage`` names; None for a path or a name of weights."""
    match = re.fullmatch(r"(\w+):(\w+)", text)
    return StageName(*match.groups()) if match else None


@dataclass(frozen=True)
class Ending:
    """What is done with the weights of a stage when it is trained."""

    average: Mapping[str, float] = option(
        dict,
        doc="Shares by the names of stages of this recipe, the stage itself among them, that add"
        " up to 1. What the stage leaves is the mean of their weights.",
        above=0,
    )
    ship: str | None = option(
        None, doc="The name under which the weights are written in half precision, with a card."
    )


@dataclass(frozen=True)
class Stage:
    """One training of several, with the recipe that all changes before it make.

    sizes   of the network, also where the recipe starts from weights
    """

    name: StageName
    recipe: TrainingRecipe
    ending: Ending
    sizes: Mapping[str, object]

    @property
    def shares(self) -> dict[StageName, float]:
        """What the stage leaves is the mean of these, by their shares."""
        return {
            StageName(self.name.recipe, stage): share
            for stage, share in self.ending.average.items()
        }

    @property
    def needs(self) -> tuple[StageName, ...]:
        """The stages whose weights it starts from or is averaged with."""
        named = [getattr(self.recipe, option) for option in STARTS]
        starts = [parse_stage_name(value) for value in named if value is not None]
        needed = [name for name in [*starts, *self.shares] if name not in (None, self.name)]
        return tuple(dict.fromkeys(name for name in needed if name is not None))


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> TrainingRecipe:
    """A recipe with its parents and ``key.sub=value`` overrides; of several stages the last."""
    stages = load_stages(path, overrides)
    if stages:
        return stages[-1].recipe
    values = read_yaml(path)
    for override in overrides:
        assign(values, override)
    return build(TrainingRecipe, values, str(path))


def load_stages(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Stage, ...]:
    """The stages of a recipe file in order; none where it is a single training.

    overrides   ``stages.NAME.key=value`` changes one stage, any other key every stage
    """
    path = find_config(path)
    values = read_yaml(path)
    ours = [text for text in overrides if text.startswith("stages.")]
    for override in ours:
        assign(values, override)
    parts = values.pop("stages", {})
    if not isinstance(parts, Mapping):
        raise InputError(f"stages in {path} is no mapping: expected names with changes below")
    stages: list[Stage] = []
    for key, part in parts.items():
        where = f"stage {key} of {path}"
        values, ending = _changed(values, part or {}, path, where)
        made = _started(values, stages[-1].name if stages else None)
        for override in overrides:
            if override not in ours:
                assign(made, override)
        name = StageName(path.stem, str(key))
        stage = Stage(name, build(TrainingRecipe, made, where), ending, values.get("sizes", {}))
        _check_average(stage, [s.name.stage for s in (*stages, stage)], where)
        stages.append(stage)
    return tuple(stages)


def _changed(values: Values, part: object, path: Path, where: str) -> tuple[Values, Ending]:
    """The values of the stage before with the changes of a stage, and the stage's ending."""
    if not isinstance(part, Mapping):
        raise InputError(f"{where} is no mapping: expected the keys that it changes")
    own = dict(part)
    shared = own.pop("extends", None)
    ending = {key: own.pop(key) for key in ("average", "ship") if key in own}
    before = {key: value for key, value in values.items() if key not in STARTS}
    if shared is not None:
        before = merge(before, read_yaml(path.parent / str(shared)))
    return merge(before, own), build(Ending, ending, where)


def _started(values: Values, before: StageName | None) -> Values:
    """The values of a stage with what it starts from."""
    made = dict(values)
    if before is not None and "weights" not in made and "warm_start" not in made:
        made["weights"] = str(before)
    if made.get("weights") is not None:
        made["sizes"] = {}
    return made


def _check_average(stage: Stage, known: Sequence[str], where: str) -> None:
    shares = stage.ending.average
    for name in shares:
        one_of(f"average of {where}", name, known)
    if shares and (stage.name.stage not in shares or abs(sum(shares.values()) - 1) > 1e-6):
        raise InputError(
            f"average of {where}: give shares that add up to 1, with one for the stage itself"
        )


def plan_stages(
    path: str | Path, overrides: Sequence[str] = (), until: str | None = None
) -> tuple[Stage, ...]:
    """All trainings that a recipe needs from nothing on, in an order in which they can run.

    until   last stage of the recipe that is wanted; None: all

    Stages of other recipes, which lie beside this one, are among them where they are needed.
    Raises `InputError` for a stage that does not exist, and for stages that need each other.
    """
    path = find_config(path)
    files = {path.stem: load_stages(path, overrides)}
    ours = [stage.name for stage in files[path.stem]]
    if until is not None:
        one_of(f"stage of {path}", until, [name.stage for name in ours])
        ours = ours[: [name.stage for name in ours].index(until) + 1]
    planned: dict[StageName, Stage] = {}

    def stage_of(name: StageName) -> Stage:
        if name.recipe not in files:
            files[name.recipe] = load_stages(path.with_name(f"{name.recipe}.yaml"), overrides)
        stages = {stage.name: stage for stage in files[name.recipe]}
        one_of(f"a stage of {path}", str(name), [str(known) for known in stages])
        return stages[name]

    def add(name: StageName, waiting: tuple[StageName, ...]) -> None:
        if name in waiting:
            raise InputError(f"stage {name} of {path} needs itself to start from: break the circle")
        if name in planned:
            return
        stage = stage_of(name)
        for needed in stage.needs:
            add(needed, (*waiting, name))
        planned[name] = stage

    for name in ours:
        add(name, ())
    return tuple(planned.values())


@dataclass(frozen=True)
class StageFolders:
    """Where the stages of a plan are written.

    recipe     the recipe whose stages lie in ``root``; those of others lie beside it
    averaged   stages that leave a mean
    """

    recipe: str
    root: Path
    averaged: frozenset[StageName]

    def folder(self, name: StageName) -> Path:
        """The output folder of a stage's training."""
        root = self.root if name.recipe == self.recipe else self.root.parent / name.recipe
        return root / name.stage

    def trained(self, name: StageName) -> Path:
        """The last weights of a stage's training."""
        return self.folder(name) / "last.safetensors"

    def left(self, name: StageName) -> Path:
        """The weights that a stage leaves to others: its last ones, or their mean."""
        if name in self.averaged:
            return self.folder(name) / "mean.safetensors"
        return self.trained(name)


def folders_of(stages: Sequence[Stage], recipe: str, root: Path) -> StageFolders:
    """The folders of a plan of stages of ``recipe``."""
    return StageFolders(recipe, root, frozenset(s.name for s in stages if s.ending.average))


def missing_stages(stage: Stage, folders: StageFolders) -> Iterator[StageName]:
    """Stages that ``stage`` needs and that have left nothing yet."""
    for name in stage.needs:
        if not folders.left(name).is_file():
            yield name
