"""Members run again from a correction: progress, the verdict, undo, and cancelling."""

import json
import shutil
import time

import numpy as np
import pytest
from serving import serving
from small_runs import arguments, contents
from test_acts import draw, masks, shown, square

from ensemble import run as run_command
from mose.masks import read_mask
from selection.record import read_record
from selection.spans import candidate_at
from study.review.continuing import ContinuationStage


def ended(served):
    """The progress once the members have run."""
    while (told := served.get("api/videos/a/continuation"))["stage"] == ContinuationStage.RUNNING:
        time.sleep(0.05)
    return told


@pytest.fixture(scope="module")
def continued(finished, tmp_path_factory):
    """A copy of the run whose video was corrected and continued, with no verdict yet."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("continued") / "run")
    with serving(run) as served:
        assert draw(served, 3, square(3), [3])[0] == 200
        status, told = served.act("a", "continue")
        assert (status, told["stage"]) == (200, ContinuationStage.RUNNING)
        assert served.act("a", "continue")[0] == 400
        told = ended(served)
        assert told["stage"] == ContinuationStage.READY, told
        assert (told["done"], told["total"]) == (2, 2)
    return run


@pytest.fixture
def run(continued, tmp_path):
    return shutil.copytree(continued, tmp_path / "run")


def test_the_result_stands_beside_the_old_one_until_it_is_accepted(served, run):
    before, state = masks(run), contents(run / "pseudo-labels")
    trial = np.stack([shown(served, frame, 1001) for frame in range(6)])
    assert ((trial[3] == 3) == (square(3) == 3)).all()
    assert (trial[5] != before[5]).any()
    assert (masks(run) == before).all()
    assert served.act("a", "accept", version=1) == (200, {"version": 2})
    assert (masks(run) == trial).all()
    assert served.get("api/videos/a/continuation")["stage"] == ContinuationStage.NONE
    assert read_record(run / "selection/a.json").provenance.corrections == {"00003": (3,)}
    assert served.act("a", "choose", candidate="hold", object=3)[0] == 200
    assert ((masks(run)[5] == 3) == (square(3) == 3)).all()
    for version in (3, 4):
        assert served.act("a", "undo", version=version)[0] == 200
    assert (masks(run) == before).all()
    assert contents(run / "pseudo-labels") == state
    assert served.act("a", "redo", version=5)[0] == 200
    assert (masks(run) == trial).all()
    for version in (6, 7):
        assert served.act("a", "undo", version=version)[0] == 200
    assert not read_record(run / "selection/a.json").overridden


def test_what_was_chosen_by_hand_stays_chosen(served, run):
    assert served.act("a", "choose", candidate="hold", object=3, frames=[1, 3])[0] == 200
    assert served.act("a", "choose", candidate="hold", object=3, frames=[5, 6])[0] == 200
    trial = np.stack([shown(served, frame, 1001) for frame in range(6)])
    own = read_record(run / "continued/a/1/selection/a.json").plan
    assert served.act("a", "accept", version=3)[0] == 200
    plan = served.desk.opened.history("a").present.plan
    for frame in range(6):
        expected = "hold" if frame in (1, 2, 5) else candidate_at(own[3], frame)
        assert candidate_at(plan[3], frame) == expected
    assert plan[9] == own[9]
    assert (masks(run) == trial).all()
    assert draw(served, 4, square(3, left=30), [3])[0] == 200
    assert served.act("a", "continue")[0] == 200
    assert ended(served)["stage"] == ContinuationStage.READY
    assert served.act("a", "accept", version=5)[0] == 200
    plan = served.desk.opened.history("a").present.plan
    assert [candidate_at(plan[3], frame) for frame in (1, 2, 5)] == ["hold"] * 3


def test_the_main_command_keeps_what_was_accepted(served, run, finished):
    assert served.act("a", "accept", version=1)[0] == 200
    files, record = contents(run / "masks"), (run / "selection/a.json").read_text()
    root = finished.parent
    again = arguments(root / "data", root / "config.yaml", run, "--keep-soft")
    assert run_command.main(again) == 0
    assert contents(run / "masks") == files
    assert (run / "selection/a.json").read_text() == record
    assert served.act("a", "undo", version=2)[0] == 200


def test_a_result_is_dropped(served, run):
    files = contents(run / "masks")
    assert served.act("a", "drop")[1]["stage"] == ContinuationStage.NONE
    assert not list((run / "continued/a").iterdir())
    assert contents(run / "masks") == files
    assert served.act("a", "accept", version=1)[0] == 400


def test_members_that_fail_say_why(served, run):
    served.act("a", "drop")
    frames = served.desk.opened.dataset.images / "a"
    moved = frames.with_name("elsewhere")
    frames.rename(moved)
    try:
        assert served.act("a", "continue")[0] == 400
        assert not list((run / "continued/a").iterdir())
        served.act("a", "continue", whole=True)
        told = ended(served)
    finally:
        moved.rename(frames)
    assert told["stage"] == ContinuationStage.FAILED
    assert told["trouble"]
    assert served.act("a", "drop")[1]["stage"] == ContinuationStage.NONE


def test_members_go_on_from_the_first_new_correction(served, run):
    manifest = json.loads((run / "continued/a/1/predictions/hold/a/manifest.json").read_text())
    assert manifest["since"] == 3
    rest = np.stack([shown(served, frame, 1001) for frame in range(6)])
    assert (rest[:3] == masks(run)[:3]).all()
    assert served.act("a", "accept", version=1)[0] == 200
    assert draw(served, 4, square(3, left=30), [3])[0] == 200
    state = served.desk.opened.history("a").present
    assert served.desk.continuations.since("a", state) == 4
    assert served.act("a", "leave", frame=3)[0] == 200
    state = served.desk.opened.history("a").present
    assert served.desk.continuations.since("a", state) is None
    assert served.act("a", "continue", whole=True)[0] == 200
    assert ended(served)["stage"] == ContinuationStage.READY
    manifest = json.loads((run / "continued/a/2/predictions/hold/a/manifest.json").read_text())
    assert "since" not in manifest


def test_a_continuation_is_cancelled(served, run):
    served.act("a", "drop")
    assert served.act("a", "continue")[1]["stage"] == ContinuationStage.RUNNING
    process = served.desk.continuations.processes["a"]
    assert served.act("a", "drop")[1]["stage"] == ContinuationStage.NONE
    assert process.poll() is not None
    assert read_mask(run / "masks/a/00003.png").any()


def test_without_a_correction_there_is_nothing_to_continue(served, run):
    assert served.act("b", "continue")[0] == 400
