"""The ladder of rates by which a member learns, without any training."""

from pathlib import Path

import pytest

from ensemble.config import MemberConfig
from finetune.failures import TrainingDiverged
from finetune.log import SCORE, VALIDATION, StepLog
from stseg.errors import InputError
from stseg.files import read_json
from study.rounds import learning
from study.rounds.learning import Pupil, learn
from study.rounds.options import Lessons, load_rounds

CONFIG = load_rounds("rounds", ["recipe.optimiser.rate=0.001"])
LESSONS = Lessons(Path("training"), Path("guard"), Path("labels"), ("held",))


@pytest.fixture
def pupil(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "score_before", lambda recipe: 50.0)
    return Pupil(MemberConfig("m", "xmem", "demo-xmem"), LESSONS, tmp_path / "m", "m", "cpu")


class Trainings:
    """Stands for the trainer: each training leaves the next score; None: it diverges."""

    def __init__(self, *scores):
        self.scores, self.rates = list(scores), []

    def __call__(self, job):
        self.rates.append(job.recipe.optimiser.rate)
        score = self.scores.pop(0)
        if score is None:
            raise TrainingDiverged("the loss of step 1 is nan")
        if isinstance(score, BaseException):
            raise score
        job.output.mkdir(parents=True)
        StepLog(job.output / VALIDATION, 0).add({"step": 1, SCORE: score})


def test_the_first_rate_that_helps_is_the_last_one_tried(pupil):
    train = Trainings(49.0, None, 51.0)
    assert learn(pupil, CONFIG, train) == pupil.output / "rate3/best.safetensors"
    assert train.rates == pytest.approx([1e-3, 3e-4, 1e-4])
    train = Trainings(50.5)
    other = Pupil(pupil.member, LESSONS, pupil.output.with_name("n"), "n", "cpu")
    assert learn(other, CONFIG, train) == other.output / "rate1/best.safetensors"


def test_where_no_rate_helps_the_best_training_counts(pupil):
    best = pupil.output / "rate2/best.safetensors"
    assert learn(pupil, CONFIG, Trainings(49.0, 50.0, 48.0)) == best
    assert learn(pupil, CONFIG, Trainings()) == best  # nor is it trained again


def test_a_loss_that_is_never_finite_is_a_sentence(pupil, capsys):
    with pytest.raises(InputError, match=r"not finite at any of rounds\.rates: lower"):
        learn(pupil, CONFIG, Trainings(None, None, None))
    assert capsys.readouterr().out.count("the loss of step 1 is nan") == 3


def test_what_was_tried_is_not_tried_again(pupil):
    train = Trainings(49.0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        learn(pupil, CONFIG, train)
    assert read_json(pupil.output / "ladder.json") == {"before": 50.0, "after": [49.0]}
    train = Trainings(52.0)
    assert learn(pupil, CONFIG, train) == pupil.output / "rate2/best.safetensors"
    assert train.rates == pytest.approx([3e-4])


def test_lessons_become_keys_of_the_recipe(pupil):
    recipe = pupil.recipe(CONFIG)
    assert (recipe.data.labelled, recipe.data.labelled_share) == ("labels", 0.25)
    assert (recipe.data.exclude, recipe.data.weights) == (("held",), "training/weights.json")
    assert (recipe.validation.dataset, recipe.validation.labels) == ("guard", "Labels")
    assert recipe.validation.every > 0
    alone = Pupil(pupil.member, Lessons(Path("training")), pupil.output, "m", "cpu")
    assert alone.recipe(CONFIG).validation.every == 0
