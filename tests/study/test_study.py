"""The study: what every rule, policy and granularity is worth, from stored predictions alone."""

import json

import numpy as np
import pytest
from simulated import make_run

from ensemble.fusion.rules import RULES
from selection.statistics import calibration_error, mean_score, paired_interval
from stseg.errors import InputError
from study.study import StudyScope, main, study


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("study"), frames=3)


@pytest.fixture(scope="module")
def report(run):
    main([str(run), "--processes", "1"])
    return json.loads((run / "study/study.json").read_text())


def row(report, **wanted):
    return next(r for r in report["rows"] if all(r[k] == v for k, v in wanted.items()))


def test_every_rule_policy_and_granularity_is_there(report):
    found = {(r["rule"], r["policy"], r["granularity"]) for r in report["rows"]}
    for rule in RULES:
        assert (rule, "pseudo-label", "video") in found
        for granularity in ("video", "object", "segment"):
            assert (rule, "agreement", granularity) in found
    assert ("pgmr without strong", "agreement", "video") in found


def test_oracles_bound_what_is_selected(report):
    base = report["without_selecting"]
    assert report["best_single"] == "strong"
    assert base["best single in hindsight"] <= base["oracle per video, members only"]
    assert base["oracle per video, members only"] <= base["oracle per video"]
    assert base["oracle per video"] <= base["oracle per object"]
    for r in report["rows"]:
        if r["rule"] == "pgmr" and r["granularity"] == "video":
            assert r["J&F"] <= base["oracle per video"] + 1e-6
            assert r["gain_low"] <= r["gain"] <= r["gain_high"]


def test_members_score_as_when_evaluated_alone(run, report):
    from ensemble.storage.predictions import Prediction
    from mose.masks import read_mask
    from selection.metrics import VideoScorer

    scores = []
    for folder in sorted((run / "predictions/strong").iterdir()):
        scorer = VideoScorer("davis", (1, 2))
        prediction = Prediction(folder)
        for t in range(1, len(prediction) - 1):
            path = run.parent / "data/Labels" / folder.name / f"{t:05d}.png"
            scorer.add(prediction[t].labels(48, 48), read_mask(path))
        scores += [s["J&F"] for s in scorer.scores().values()]
    assert report["without_selecting"]["strong"] == pytest.approx(np.mean(scores), abs=1e-4)


def test_second_study_reads_what_the_first_one_kept(run, report, monkeypatch):
    from study import stored_runs

    def never(*_):
        raise AssertionError("evidence was made again")

    monkeypatch.setattr(stored_runs, "evidence_of", never)
    again = study(run, StudyScope(rules=["vote"], leave_one_out=False), processes=1)
    kept = row(report, rule="vote", policy="pseudo-label")
    new = next(r for r in again.rows if r.rule == "vote" and r.policy == "pseudo-label")
    assert new.score == kept["J&F"]


def test_plots_are_whole(run, report):
    import xml.etree.ElementTree as ET

    for name in ("bars.svg", "calibration.svg"):
        assert ET.parse(run / "study" / name).getroot().tag.endswith("svg")


def test_what_cannot_be_studied_is_said(tmp_path, run):
    with pytest.raises(InputError, match="no run folder"):
        study(tmp_path, StudyScope())
    with pytest.raises(InputError, match="unknown"):
        study(run, StudyScope(rules=["median"]))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.yaml").write_text((run / "config.yaml").read_text())
    with pytest.raises(InputError, match="--keep-soft"):
        study(bare, StudyScope())


def test_paired_interval_sees_a_constant_difference():
    rng = np.random.default_rng(0)
    other = [rng.random(3) for _ in range(20)]
    one = [scores + 0.1 for scores in other]
    assert paired_interval(one, other) == pytest.approx((0.1, 0.1, 0.1))
    one[0] = np.array([np.nan, 1.0])
    assert mean_score(one[:1]) == 1.0


def test_calibration_error_of_the_honest_and_the_boaster():
    rng = np.random.default_rng(0)
    stated = rng.random(5000)
    came_true = rng.random(5000) < stated
    assert calibration_error(stated, came_true) < 0.03
    assert calibration_error(np.ones(5000), came_true) == pytest.approx(0.5, abs=0.03)
