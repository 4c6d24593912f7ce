"""What a round is asked for: its own options, and the recipe by which a member is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from adapters import registry
from ensemble.config import MemberConfig, family
from finetune.recipe import TrainingRecipe
from stseg.config import Values, assign, build, merge, option, read_yaml
from stseg.errors import InputError, unknown
from stseg.options import Limits

SHARE = Limits(least=0, most=1)
WEIGHTS = "weights.json"
"""The file of a training set that says how much each mask counts."""
LABELS = "Labels"
"""The folder of a guard set with a mask for every frame."""


@dataclass(frozen=True)
class RoundsOptions:
    """Which masks members learn from, and which videos they never see."""

    quality: float = option(
        0.7,
        doc="The expected J from which on the chosen mask of an object on a frame is learnt from;"
        " below, all pixels that any member gives to the object are ignored.",
        limits=SHARE,
    )
    agreed: float = option(
        0.5,
        doc="The share of the members' say that has to stand behind a pixel of the chosen masks;"
        " with less, the pixel is ignored.",
        limits=SHARE,
    )
    weighted: bool = option(
        True,
        doc="Let the loss of a mask count from 0 at an expected J of `quality` up to 1 at 1; off,"
        " all that is sure counts fully.",
    )
    labelled_share: float = option(
        0.25, doc="The share of the clips that are drawn from --labelled.", limits=SHARE
    )
    rates: tuple[float, ...] = option(
        (1.0, 0.3, 0.1),
        doc="Factors of the recipe's rate, tried in order until a training makes the member better"
        " on the held-out videos.",
        above=0,
    )
    video_steps: int = option(
        20, doc="With --per-video, the steps of the training on one video.", least=1
    )
    held_out: float = option(
        0.2,
        doc="The share of the videos, drawn at random, that no member is trained on: there it is"
        " judged whether a round is adopted.",
        above=0,
        below=1,
    )
    seed: int = option(0, doc="The seed of that draw.", least=0)


@dataclass(frozen=True)
class RoundsConfig:
    """A file such as ``configs/rounds.yaml``."""

    rounds: RoundsOptions = option(RoundsOptions, doc="What is learnt from.")
    recipe: Mapping[str, object] = option(
        dict, doc="Keys of a training recipe that all members share."
    )
    networks: Mapping[str, object] = option(
        dict, doc="By adapter, keys of a training recipe that differ for it."
    )


def load_rounds(path: str | Path, overrides: Sequence[str] = ()) -> RoundsConfig:
    """Read a configuration of rounds, with ``key.sub=value`` overrides."""
    values = read_yaml(path)
    for override in overrides:
        assign(values, override)
    return build(RoundsConfig, values, str(path))


@dataclass(frozen=True)
class Lessons:
    """What a member learns from.

    training   is the folder of a training set
    guard      is that of a guard set, on which the training is validated; None: it is not
    labelled   is a data set with labels of the user's, or None
    exclude    are videos of that, too, that are held out
    """

    training: Path
    guard: Path | None = None
    labelled: Path | None = None
    exclude: tuple[str, ...] = ()

    def values(self, options: RoundsOptions, member: MemberConfig) -> Values:
        """Keys of a recipe."""
        data: Values = {
            "dataset": str(self.training),
            "split": "train",
            "labels": None,
            "videos": (),
            "exclude": self.exclude,
            "weights": str(self.training / WEIGHTS),
            "labelled": str(self.labelled) if self.labelled else None,
            "labelled_share": options.labelled_share,
        }
        if self.guard is None:
            return {"data": data, "validation": {"every": 0}}
        guard = {"dataset": str(self.guard), "split": "train", "labels": LABELS, "videos": ()}
        return {"data": data, "validation": {**guard, "options": dict(member.options)}}


def recipe_for(
    config: RoundsConfig, member: MemberConfig, lessons: Lessons, device: str, rate: float = 1.0
) -> TrainingRecipe:
    """The recipe by which a member is trained, at a factor of the configuration's rate.

    Raises `InputError` for a member without weights, and for one whose adapter the configuration
    does not name under ``networks``.
    """
    if member.adapter not in config.networks or member.weights is None:
        raise InputError(
            f"member {member.name} cannot be adapted: networks of the configuration of rounds names"
            f" {', '.join(config.networks)}, and the member is {member.adapter}"
            f" {'with' if member.weights else 'without'} weights"
        )
    own = config.networks[member.adapter]
    if not isinstance(own, Mapping):
        raise InputError(f"networks.{member.adapter} is no mapping: expected keys of a recipe")
    values = merge(merge(config.recipe, _as_it_runs(member)), own)
    start = {"network": member.adapter, "weights": member.weights, "device": device}
    values = merge(merge(values, start), lessons.values(config.rounds, member))
    recipe = build(TrainingRecipe, values, f"the recipe of {member.name}")
    optimiser = replace(recipe.optimiser, rate=rate * recipe.optimiser.rate)
    return replace(recipe, optimiser=optimiser)


def _as_it_runs(member: MemberConfig) -> Values:
    """How often the network updates its sensory memory from masks: as often as the member does."""
    kind = registry.get(member.adapter).Options
    options = {field.name: getattr(kind(), field.name) for field in fields(kind)}
    options |= member.options
    every = options.get("mem_every")
    if not isinstance(every, int):
        return {}
    deep = options.get("deep_update_every", -1)
    return {"unroll": {"deep_update": 1 / (deep if isinstance(deep, int) and deep > 0 else every)}}


def check_members(
    config: RoundsConfig, names: Sequence[str], members: Sequence[MemberConfig]
) -> tuple[MemberConfig, ...]:
    """The members of these names, in the order asked for. Raises `InputError` for a name that the
    run does not have, for one that cannot be adapted, and where no member of another kind is there
    to judge them by."""
    by_name = {member.name: member for member in members}
    chosen = []
    for name in dict.fromkeys(names):
        if name not in by_name:
            raise unknown("member", name, by_name, " of the run")
        recipe_for(config, by_name[name], Lessons(Path()), "cpu")
        if not any(family(other) != family(name) for other in by_name):
            raise InputError(
                f"member {name} is alone in the run: a round needs another member to judge it by"
            )
        chosen.append(by_name[name])
    return tuple(chosen)
