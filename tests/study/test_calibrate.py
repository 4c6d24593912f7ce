"""Calibration: what is measured on labels, stored and applied."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from layouts import blocks, write_video
from scipy.special import expit
from simulated import MEMBERS, make_run

from ensemble.config import load_config, prior_of
from ensemble.priors import note_on_priors
from mose.dataset import open_dataset
from mose.readers.lists import read_names
from selection.calibration import Calibration, load_calibration
from selection.fitting import fit_curve, fit_logistic, fit_sureness, folds
from selection.models import Curve
from selection.selectors import SelectionOptions, select
from selection.sureness import SURE_FEATURES, how_sure, state
from stseg.errors import InputError
from study.calibrate import main
from study.stored_runs import gather, listed_videos, open_finished, open_study


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("calibrate"))


@pytest.fixture(scope="module")
def path(run):
    out = run.parent / "made.json"
    main(["--run", str(run), "--output", str(out), "--processes", "1"])
    return out


def evidence_of(run, calibration):
    from ensemble.fusion.frame_loop import FusionSetup

    opened = open_study(run, None)
    return gather(opened, [FusionSetup(opened.members, opened.config.fusion)], calibration, 1)


def test_priors_are_the_measured_scores(run, path):
    made = load_calibration(str(path))
    assert list(made.priors) == list(MEMBERS)
    assert made.priors["strong"] > made.priors["middle"] > made.priors["weak"]
    raw = evidence_of(run, None)
    mean = np.mean([e[0].truth()[0] for e in raw.values()])
    assert made.priors["strong"] == pytest.approx(mean, abs=0.03)
    member = load_config(run / "config.yaml").members[0]
    assert prior_of(member, made) == made.priors["strong"]
    assert prior_of(member, None) == 0.7


def test_the_file_is_readable_and_small(path):
    stored = json.loads(path.read_text())
    assert stored["source"]["videos"] == 10
    assert stored["source"]["members"]["weak"]["adapter"] is None  # made-up predictions
    assert len(path.read_text()) < 10_000


def test_read_as_written(path, tmp_path):
    made = load_calibration(str(path))
    made.save(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert again == json.loads(path.read_text())


def test_selection_states_how_sure_it_is(run, path):
    made = load_calibration(str(path))
    inside = []
    for (evidence,) in evidence_of(run, made).values():
        choice = select(evidence, SelectionOptions(), made)
        whole, objects = how_sure(evidence, choice, made)
        assert set(objects) == {1, 2}
        for sure in (whole, *objects.values()):
            assert 0 <= sure.probability <= 1
            assert 0 <= sure.low <= sure.expected <= sure.high <= 1
        row = evidence.candidates.index(choice.winner)
        inside.append(whole.low <= np.nanmean(evidence.truth()[row]) <= whole.high)
    assert np.mean(inside) >= 0.6
    assert how_sure(evidence, choice, None) == (None, {})


def test_curve_follows_the_truth_and_rises():
    rng = np.random.default_rng(0)
    said = rng.random(3000)
    curve = fit_curve(said, np.clip(said**2 + rng.normal(0, 0.05, 3000), 0, 1))
    assert curve(0.5) == pytest.approx(0.25, abs=0.06)
    assert (np.diff(curve.y) >= 0).all()
    assert fit_curve(np.full(4, np.nan), np.ones(4)) == Curve((0.0, 1.0), (0.0, 1.0))


def test_sureness_is_calibrated_where_the_lead_tells():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, len(SURE_FEATURES)))
    best = rng.random(400) < expit(2 * values[:, 1])
    truth = np.clip(expit(values[:, 0]) + rng.normal(0, 0.05, 400), 0, 1)
    model = fit_sureness(values[:300], truth[:300], best[:300])
    said = [state(model, row) for row in values[300:]]
    assert np.mean([s.low <= t <= s.high for s, t in zip(said, truth[300:], strict=True)]) > 0.65
    high = np.array([s.probability for s in said]) > 0.5
    assert best[300:][high].mean() > 0.7 > 0.4 > best[300:][~high].mean()


def test_weights_are_found_again_and_never_fall():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 3))
    y = expit(1.5 * x[:, 0] - 1.0 * x[:, 1] - 0.5 * x[:, 2] + 0.3)
    weights, intercept = fit_logistic(x, y, np.ones(len(x)), rising=2)
    assert weights[0] == pytest.approx(1.3, abs=0.3)
    assert weights[1] == 0
    assert weights[2] < -0.3
    assert intercept == pytest.approx(0.3, abs=0.1)


def test_folds_hold_every_video_out_once():
    held = np.concatenate([h for _, h in folds(13)])
    assert sorted(held) == list(range(13))
    assert all(not set(f) & set(h) for f, h in folds(13))


def test_what_cannot_be_calibrated_is_said(run, tmp_path):
    from study.calibrate import calibrate

    with pytest.raises(InputError, match="at least 10"):
        calibrate(run, videos=("v00", "v01"))
    with pytest.raises(InputError, match="unknown calibration"):
        load_calibration("nowhere")
    bad = tmp_path / "bad.json"
    bad.write_text('{"format": 1}')
    with pytest.raises(InputError, match="make it again"):
        load_calibration(str(bad))
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match=r"none\.txt is empty"):
        open_study(run, None, read_names(tmp_path / "none.txt"))
    (tmp_path / "none.txt").write_text("v00\nv99\n")
    with pytest.raises(InputError, match=r"unknown video 'v99', which .*none\.txt lists"):
        open_study(run, None, read_names(tmp_path / "none.txt"))


def test_names_in_a_list_may_look_like_comments(tmp_path):
    for name in ("#1", "b # c", "d"):
        write_video(tmp_path / "data", name, ["00000"], {"00000": blocks(1)})
    (tmp_path / "list.txt").write_text("# the hold-out\n#1\nb # c\nd # the third\n")
    dataset = open_dataset(tmp_path / "data")
    assert listed_videos(read_names(tmp_path / "list.txt"), dataset) == ("#1", "b # c", "d")


def test_a_name_with_its_suffix_is_the_same_name(run, tmp_path, monkeypatch):
    monkeypatch.setattr("study.calibrate.FOLDER", tmp_path)
    monkeypatch.setattr("study.calibrate.calibrate", lambda *_: (Calibration("mine", {}, {}), []))
    main(["--run", str(run), "--name", "mine.json"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


@pytest.fixture(scope="module")
def finished(run):
    opened = open_study(run, None)
    for name, (evidence,) in evidence_of(run, None).items():
        opened.run.evidence_path(name).parent.mkdir(parents=True, exist_ok=True)
        evidence.save(opened.run.evidence_path(name))
    return opened.run


def with_priors(folder, run, **priors):
    """A run over the same videos whose members have other priors and no labels."""
    config = yaml.safe_load(run.config.read_text())
    del config["data"]["labels"]
    for member in config["members"]:
        member["prior"] = priors[member["name"]]
    (folder / "selection").mkdir()
    (folder / "selection/timelines").symlink_to(run.root / "selection/timelines")
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return open_finished(folder)


def test_wrong_priors_are_corrected_without_labels(finished, path, tmp_path):
    opened = with_priors(tmp_path, finished, strong=50, middle=60, weak=90)
    note = note_on_priors(opened.config, opened.run, opened.videos)
    assert f"--run {tmp_path} --unlabelled" in note
    assert main(["--run", str(tmp_path), "--unlabelled", "--output", str(tmp_path / "c.json")]) == 0
    made = load_calibration(str(tmp_path / "c.json"))
    assert made.priors["strong"] > made.priors["middle"] > made.priors["weak"]
    assert made.source["labels"] is None
    assert (made.curves, made.quality, made.risk) == ({}, None, None)
    assert note_on_priors(replace(opened.config, calibration=str(tmp_path / "c.json")),
                          opened.run, opened.videos) is None  # fmt: skip


def test_right_priors_are_left_alone_without_labels(finished, path, tmp_path):
    measured = load_calibration(str(path)).priors
    opened = with_priors(tmp_path, finished, **{m: 100 * p for m, p in measured.items()})
    assert note_on_priors(opened.config, opened.run, opened.videos) is None


def test_what_a_labelled_split_told_stays_but_for_the_priors(finished, path, tmp_path):
    opened = with_priors(tmp_path, finished, strong=50, middle=60, weak=90)
    config = yaml.safe_load(opened.run.config.read_text()) | {"calibration": str(path)}
    opened.run.config.write_text(yaml.safe_dump(config))
    main(["--run", str(tmp_path), "--unlabelled", "--output", str(tmp_path / "c.json")])
    before, made = load_calibration(str(path)), load_calibration(str(tmp_path / "c.json"))
    assert (made.risk, made.sureness) == (before.risk, before.sureness)


def test_a_run_that_finished_nothing_is_not_judged(run, tmp_path):
    (tmp_path / "config.yaml").write_text((run / "config.yaml").read_text())
    with pytest.raises(InputError, match="has not finished any of the videos"):
        main(["--run", str(tmp_path), "--unlabelled"])
