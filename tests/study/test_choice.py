"""What is fitted on labels: kept only where it gains, and what the choice hangs on."""

import numpy as np
import pytest

from selection.calibration import Calibration
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.policies import SelectionOptions
from selection.risk import starting_member
from selection.selectors import select
from selection.statistics import paired_gain
from study.choice import choice_report, few_labels
from study.crossfit import calibrations, fit_choice, measure_by_fold, with_choice


def video(number, rng, tells):
    """One object of which `a` or `b` is right, by turns; appearance ``tells`` which."""
    names, frames = ("a", "b", PSEUDO_LABEL), tuple(f"{t:05d}" for t in range(4))
    made = Evidence.blank(f"v{number:02d}", names, np.array([0.7, 0.65, 0.7]), (1,), frames)
    level, right = rng.uniform(0.5, 0.8), int(rng.random() < 0.5)
    truth = np.full(3, level - 0.2)
    truth[right] = level + 0.1
    seen = truth if tells else rng.uniform(0.3, 0.9, 3)
    for plane, value in (("truth_j", truth), ("truth_f", truth), ("appearance", seen)):
        made[plane][1:, :, 0] = value
    for plane in ("agreement_j", "agreement_f", "support", "stability"):
        made[plane][1:] = 0.6
    made["weight"][:, :2] = made["confidence"][:, :2] = 0.5
    return made


def videos(tells, count=40):
    rng = np.random.default_rng(5)
    return [video(number, rng, tells) for number in range(count)]


@pytest.fixture(scope="module")
def told():
    return videos(tells=True)


@pytest.fixture(scope="module")
def untold():
    return videos(tells=False)


def test_a_model_that_gains_is_kept_and_chooses(told):
    choice = fit_choice(told)
    assert choice.fitted.clear
    assert choice.chooses
    assert "the fitted model chooses" in choice.sentence()
    made = with_choice(Calibration("c", {}, {}), choice)
    right = [
        e.candidates.index(select(e, SelectionOptions(), made).winner) == e.truth()[:, 0].argmax()
        for e in told
    ]
    assert np.mean(right) > 0.9


def test_what_gains_nothing_is_not_kept(untold):
    choice = fit_choice(untold)
    assert not choice.chooses
    assert not choice.risk.points
    assert "always the best member" in choice.sentence()
    made = with_choice(Calibration("c", {}, {}), choice)
    for table in untold:
        winner = select(table, SelectionOptions(), made).winner
        assert winner == table.members[starting_member(table)]


def test_nothing_is_known_of_a_video_by_its_own_labels(told):
    given = calibrations(told, None)
    measured = measure_by_fold(told)
    changed = videos(tells=True)
    changed[3]["truth_j"][:] = changed[3]["truth_f"][:] = 0.01
    assert calibrations(changed, None)[3].quality == given[3].quality
    assert measure_by_fold(changed)[3] == measured[3]
    assert calibrations(told[:5], None) == [None] * 5


def test_each_feature_is_worth_what_is_lost_without_it(told):
    report = choice_report(told)
    assert report.whole.gain > 0.05
    assert report.without["appearance"].gain < report.whole.gain - 0.05
    assert report.without["agreement"].gain == pytest.approx(report.whole.gain, abs=0.02)
    text = report.table()
    for words in ("without appearance", "risk of replacing", "10 labelled videos"):
        assert words in text
    assert set(report.json()["gain_without"]) == set(report.without)
    assert choice_report(told[:5]) is None


def test_ten_labels_take_one_candidate_for_all_other_videos(told):
    few = few_labels(told)
    means = np.mean([e.worth()[:, 0] for e in told], axis=0)
    assert few.low <= few.score <= few.high
    assert means.min() < few.score <= means.max() + 0.01
    assert sum(few.taken.values()) == pytest.approx(1, abs=0.01)
    assert few_labels(told[:15]) is None


def test_a_gain_has_the_error_of_its_mean():
    rng = np.random.default_rng(0)
    other = [rng.random(2) for _ in range(50)]
    steps = rng.normal(0.1, 0.2, 50)
    one = [scores + step for scores, step in zip(other, steps, strict=True)]
    gain, error = paired_gain(one, other)
    assert gain == pytest.approx(steps.mean())
    assert error == pytest.approx(steps.std(ddof=1) / np.sqrt(50))
    assert paired_gain(one[:1], other[:1])[1] == np.inf
