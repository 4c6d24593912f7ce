"""A member learns: a training for each of a few rates, until one makes it better on the guard set;
else the best of these trainings counts. Whether it helps is for the verdict to say.

::

    WEIGHTS/ladder.json   the scores: before, and after each training
    WEIGHTS/rate1/ ...    as the trainer leaves it; best.safetensors is the best on the guard set

Every training starts from the weights that the run had, and not from those of the round before:
so errors of a round are not learnt twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from adapters.weights.store import resolve
from ensemble.config import MemberConfig
from finetune.failures import TrainingDiverged
from finetune.holdout import evaluator, video_score
from finetune.launch import TrainingJob
from finetune.log import best_score
from finetune.recipe import TrainingRecipe
from finetune.stage_runs import is_trained, steps_done
from finetune.trainer import configured_processor
from stseg.cli import print_line
from stseg.errors import InputError
from stseg.files import Json, read_json, write_json
from study.rounds.options import Lessons, RoundsConfig, recipe_for

Train = Callable[[TrainingJob], None]


@dataclass(frozen=True)
class Ladder:
    """What came of the trainings of one member.

    before   is the J&F of its weights on the guard set, in percent
    after    is the best one of each training, None where its loss was not finite
    """

    before: float
    after: tuple[float | None, ...] = ()

    @property
    def gained(self) -> bool:
        return any(score is not None and score > self.before for score in self.after)

    @property
    def best(self) -> int:
        """The number of the best training, from 1."""
        known = [-1.0 if score is None else score for score in self.after]
        return 1 + known.index(max(known))

    def with_score(self, score: float | None) -> Ladder:
        """With one more training."""
        return Ladder(self.before, (*self.after, score))

    def json(self) -> Json:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def parse(cls, stored: Json) -> Ladder:
        """From what `json` gave."""
        return cls(stored["before"], tuple(stored["after"]))


@dataclass(frozen=True)
class Pupil:
    """A member that learns.

    member    is as it is in the run
    lessons   are what it learns from
    output    is the folder for its weights
    title     is for people
    device    is where it is trained
    """

    member: MemberConfig
    lessons: Lessons
    output: Path
    title: str
    device: str

    def recipe(self, config: RoundsConfig, rate: float = 1.0) -> TrainingRecipe:
        """By which it is trained."""
        return recipe_for(config, self.member, self.lessons, self.device, rate)


def learn(pupil: Pupil, config: RoundsConfig, train: Train) -> Path:
    """Train a member, or go on where that was stopped; the weights that are best on the guard set.

    Raises `InputError` where the loss of every training stopped being finite.
    """
    mark = pupil.output / "ladder.json"
    stored = read_json(mark)
    if stored is None:
        ladder = Ladder(score_before(pupil.recipe(config)))
        pupil.output.mkdir(parents=True, exist_ok=True)
        write_json(mark, ladder.json())
    else:
        ladder = Ladder.parse(stored)
    for number, rate in enumerate(config.rounds.rates, 1):
        if ladder.gained:
            break
        if number <= len(ladder.after):
            continue
        output = pupil.output / f"rate{number}"
        title = f"{pupil.title}, rate {rate:g}"
        ladder = ladder.with_score(train_once(pupil.recipe(config, rate), output, title, train))
        write_json(mark, ladder.json())
    if all(score is None for score in ladder.after):
        raise InputError(
            f"{pupil.title}: the loss is not finite at any of rounds.rates: lower"
            " recipe.optimiser.rate or recipe.optimiser.clip, with another --output"
        )
    shown = ", ".join("none" if score is None else f"{score:.1f}" for score in ladder.after)
    print_line(f"{pupil.title}: {ladder.before:.1f} before on the guard set, then {shown}")
    return pupil.output / f"rate{ladder.best}" / "best.safetensors"


def score_before(recipe: TrainingRecipe) -> float:
    """J&F on the guard set of the weights that a training starts from, in percent."""
    assert recipe.weights is not None
    with configured_processor(recipe):
        return evaluator(recipe, video_score)(resolve(recipe.weights))


def train_once(recipe: TrainingRecipe, output: Path, title: str, train: Train) -> float | None:
    """Train to the end; the best J&F on the guard set, or None where the loss is not finite."""
    if is_trained(recipe, output):
        print_line(f"{title}: trained")
        return best_score(output)
    done = steps_done(recipe, output)
    print_line(f"{title}: {recipe.steps} steps" + (f", from step {done} on" if done else ""))
    try:
        train(TrainingJob(recipe, output, done > 0, video_score))
    except TrainingDiverged as error:
        print_line(f"{title}: {error}")
        return None
    return best_score(output)
