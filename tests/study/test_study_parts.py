"""Parts of a study: evidence anew, what it is held against, its table and its plots."""

import csv
import io
import re
import shutil
import xml.etree.ElementTree as ET
from contextlib import ExitStack

import numpy as np
import pytest
from simulated import MEMBERS, make_run

from ensemble.fusion.frame_loop import FusionSetup, VideoMembers
from ensemble.storage.predictions import Prediction
from mose.masks import read_mask, write_mask
from selection.policies import SelectionOptions
from selection.run_paths import RunPaths
from study.crossfit import MIN_VIDEOS, calibrations
from study.plots import bars, reliability
from study.replay import evidence_of
from study.results import Stated, baselines, evaluate
from study.stored_runs import gather, open_study
from study.table import BEST, ORACLE, StatedWorth, compare


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Evidence of all members of two videos, and of the first two members."""
    opened = open_study(make_run(tmp_path_factory.mktemp("parts"), videos=2), None)
    fusion = opened.config.fusion
    priors = np.asarray([prior / 100 for _, prior in MEMBERS.values()])
    made = []
    for name in opened.videos:
        video = opened.dataset.video(name)
        with ExitStack() as stack:
            predictions = [Prediction(opened.run.prediction(m, name)) for m in MEMBERS]
            for prediction in predictions:
                stack.callback(prediction.close)
            members = VideoMembers(video, tuple(MEMBERS), predictions, priors, {})
            setups = [FusionSetup(tuple(MEMBERS), fusion), FusionSetup(tuple(MEMBERS)[:2], fusion)]
            made.append(evidence_of(members, setups, opened.dataset.label_masks(name, video)))
    return [first for first, _ in made], [second for _, second in made]


def test_what_is_a_members_own_does_not_depend_on_the_others(videos):
    for whole, part in zip(*videos, strict=True):
        assert whole.labelled
        for plane in ("truth_j", "truth_f", "stability"):
            np.testing.assert_array_equal(whole[plane][:, :2], part[plane][:, :2])


def test_a_run_is_studied_as_it_was_finished_last(tmp_path):
    run = make_run(tmp_path, videos=1)

    def evidence():
        opened = open_study(run, None)
        setup = FusionSetup(opened.members, opened.config.fusion)
        return gather(opened, [setup], None, 1)["v00"][0]

    first = evidence()
    weak, strong = (first.candidates.index(name) for name in ("weak", "strong"))
    shutil.copytree(
        run / "predictions/strong/v00", RunPaths(run).refined_prediction("weak", "v00", 1)
    )
    refined = evidence()
    assert first.truth()[weak].sum() < first.truth()[strong].sum()
    np.testing.assert_array_equal(refined.truth()[weak], first.truth()[strong])

    RunPaths(run).corrections("v00").mkdir(parents=True)
    right = read_mask(run.parent / "data/Labels/v00/00002.png")
    write_mask(RunPaths(run).corrections("v00") / "00002.png", right)
    corrected = evidence()["truth_j"][2]
    assert (corrected[:, 0] == 1).all()
    assert not (first["truth_j"][2, :, 0] == 1).all()


def test_an_oracle_is_no_worse_than_what_it_chooses_from(videos):
    base = baselines(videos[0])
    assert set(base.members) == set(MEMBERS)
    for video, oracle in zip(base.oracle_video, base.oracle_object, strict=True):
        assert (oracle >= video).all()
    assert calibrations(videos[0], None) == [None] * 2, f"fewer than {MIN_VIDEOS} fit nothing"


def test_a_result_is_held_against_the_best_member(videos):
    options = SelectionOptions(policy="agreement")
    given = [None] * 2
    result = evaluate("pgmr", videos[0], options, given, None)
    assert (result.policy, len(result.truths), result.videos) == ("agreement", 2, None)
    report = compare([result], {"pgmr": baselines(videos[0])}, "pgmr", options, None)
    (row,) = report.rows
    assert row.score == pytest.approx(row.best_single + row.gain, abs=1e-5)
    assert report.base[ORACLE] >= report.base[BEST] - 1e-9
    (line,) = csv.DictReader(io.StringIO(report.csv()))
    assert float(line["J&F"]) == row.score
    assert "without selecting" in report.table()


def test_what_is_stated_is_compared_with_what_came_true():
    sure, half = np.ones(4), np.full(4, 0.5)
    stated = Stated(sure, half, half - 0.2, half + 0.2, np.ones(4, bool), half + 0.1)
    worth = StatedWorth.of(stated)
    assert (worth.ece, worth.held, worth.off) == (0.0, 1.0, pytest.approx(0.1))
    assert StatedWorth.of(None) == StatedWorth()


def test_plots_are_whole_and_longer_bars_are_better():
    drawn = bars([("a & b", 0.6, (0.5, 0.7)), ("c", 0.8, None)], 0.7)
    assert ET.fromstring(drawn).tag.endswith("svg")
    first, second = (float(w) for w in re.findall(r'width="([\d.]+)" height="14"', drawn))
    assert first < second
    points = {"videos": (np.linspace(0, 1, 10), np.arange(10) % 2)}
    assert reliability(points, bins=5).count("<circle") == 5
