"""Following members back to the given masks: extra pairs, their scores, their bound."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from ensemble.fusion.frame_loop import FusionSetup
from ensemble.refinement.follow_back import affordable
from ensemble.run import main
from mose.masks import read_mask, write_mask
from selection.evidence import Evidence
from selection.selectors import SelectionOptions, select
from study.stored_runs import gather, open_study
from study.study import StudyScope, study


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two members over one textured disc that moves, followed back whatever the margin."""
    root = tmp_path_factory.mktemp("cycle")
    for kind in ("JPEGImages", "Annotations", "Labels"):
        (root / "data" / kind / "a").mkdir(parents=True)
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 120, (64, 80, 3), dtype=np.uint8)
    patch = rng.integers(120, 255, (24, 24, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:24, :24]
    disc = np.hypot(rows - 12, columns - 12) < 11
    for t in range(6):
        image, ids = ground.copy(), np.zeros((64, 80), np.uint8)
        at = slice(20, 44), slice(10 + 5 * t, 34 + 5 * t)
        image[at][disc] = patch[disc]
        ids[at][disc] = 7
        Image.fromarray(image).save(root / f"data/JPEGImages/a/{t:05d}.jpg", quality=95)
        write_mask(root / f"data/Labels/a/{t:05d}.png", ids)
        if t == 0:
            write_mask(root / "data/Annotations/a/00000.png", ids)
    config = {
        "data": {"dataset": str(root / "data"), "labels": "Labels"},
        "members": [
            {"name": "flow", "adapter": "flow", "prior": 50.0, "options": {"preset": "medium"}},
            {"name": "hold", "adapter": "hold", "prior": 50.0},
        ],
        "selection": {"policy": "cycle", "cycle_margin": 1.0, "cycle_budget": 1.0},
        "execution": {"executor": "inline"},
        "output": {"path": str(root / "run"), "report": False, "submission": False},
    }
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["--config", str(root / "config.yaml")]) == 0
    return root


def test_members_that_come_back_are_told_from_those_that_do_not(run):
    record = json.loads((run / "run/selection/a.json").read_text())
    assert record["cycle"]["hold"]["7"] == 1.0  # it never left
    assert record["cycle"]["flow"]["7"] > 0.7
    assert record["missing_members"] == []
    assert record["oracle"] == "flow"


def test_evidence_keeps_the_scores_and_masks_are_whole(run):
    evidence = Evidence.load(run / "run/selection/timelines/a.npz")
    assert evidence.cycle.shape == (3, 1)
    assert np.isnan(evidence.cycle[2, 0])
    assert (read_mask(run / "run/masks/a/00005.png") == 7).any()
    assert not list((run / "run/predictions").glob("*/a"))  # not kept


def test_a_study_sees_the_scores(run, tmp_path):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["output"] |= {"path": str(tmp_path / "run"), "keep_soft": True}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["--config", str(tmp_path / "config.yaml")]) == 0
    taken = Evidence.load(tmp_path / "run/selection/timelines/a.npz").cycle
    report = study(tmp_path / "run", StudyScope(rules=["pgmr"]), processes=1)
    tried = {(row.policy, row.granularity) for row in report.rows}
    assert {("cycle", "video"), ("agreement+cycle", "object")} <= tried
    opened = open_study(tmp_path / "run", None)
    found = gather(opened, [FusionSetup(opened.members, opened.config.fusion)], None, 1)
    np.testing.assert_array_equal(found["a"][0].cycle, taken)


def test_second_run_follows_nothing_back(run, capsys):
    before = Path(run / "run/selection/a.json").read_text()
    assert main(["--config", str(run / "config.yaml")]) == 0
    assert " 0 extra pairs" in capsys.readouterr().out
    assert Path(run / "run/selection/a.json").read_text() == before


def test_cycle_decides_where_agreement_does_not(run):
    evidence = Evidence.load(run / "run/selection/timelines/a.npz")
    options = SelectionOptions(policy="cycle", prior_weight=0.0)
    for plane in ("agreement_j", "agreement_f"):
        evidence[plane][1:, :2] = 0.8
    evidence.cycle[:2, 0] = 0.9, 0.2
    assert select(evidence, options).winner == "flow"
    evidence.cycle[:2, 0] = 0.2, 0.9
    assert select(evidence, options).winner == "hold"
    evidence.cycle[:] = np.nan
    assert "followed back nowhere" in select(evidence, options).reason.sentence()


def test_cost_is_bounded_and_goes_to_the_least_sure():
    margins = {"a": 0.01, "b": 0.0, "c": 0.2, "d": 0.03}
    units = dict.fromkeys(margins, 10.0)
    options = SelectionOptions(cycle_margin=0.05, cycle_budget=0.5)
    total = 3 * sum(units.values())
    assert affordable(margins, units, 3, options, total) == ["b", "a"]
    assert affordable(margins, units, 3, SelectionOptions(cycle_budget=0.0), total) == []
