"""A refined run: disputes are settled by what leads back, once, and the same after a kill."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import forgetful
import numpy as np
import pytest
import yaml
from PIL import Image
from small_runs import arguments, contents

from ensemble import run as command
from ensemble.refinement import rounds, work
from ensemble.refinement.options import RefinementOptions
from mose.masks import read_mask, write_mask
from selection.record import SelectionRecord, read_record
from selection.refined import Dispute
from selection.summary import summarise

FRAMES = 12
PATIENCE = 3


def make_moving(root: Path, name: str) -> None:
    """A textured disc that moves to the right, and its labels."""
    for kind in ("JPEGImages", "Annotations", "Labels"):
        (root / kind / name).mkdir(parents=True)
    rng = np.random.default_rng(len(name))
    ground = rng.integers(0, 120, (48, 96, 3), dtype=np.uint8)
    patch = rng.integers(120, 255, (24, 24, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:24, :24]
    disc = np.hypot(rows - 12, columns - 12) < 11
    for index in range(FRAMES):
        image, ids = ground.copy(), np.zeros((48, 96), np.uint8)
        at = slice(12, 36), slice(6 + 5 * index, 30 + 5 * index)
        image[at][disc] = patch[disc]
        ids[at][disc] = 3
        Image.fromarray(image).save(root / "JPEGImages" / name / f"{index:05d}.jpg", quality=95)
        write_mask(root / "Labels" / name / f"{index:05d}.png", ids)
        if index == 0:
            write_mask(root / "Annotations" / name / "00000.png", ids)


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(forgetful.registry.BUILT_IN, "forgetful", "forgetful:ForgetfulSegmenter")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Two videos, and members of which most forget the object; a folder forgets it as well."""
    root = tmp_path_factory.mktemp("refined")
    for name in ("a", "bb"):
        make_moving(root / "data", name)
        (root / "theirs" / name).mkdir(parents=True)
        for index in range(FRAMES):
            ids = read_mask(root / "data" / "Labels" / name / f"{index:05d}.png")
            ids = ids if index <= PATIENCE else np.zeros_like(ids)
            write_mask(root / "theirs" / name / f"{index:05d}.png", ids)
    forgets = {"adapter": "forgetful", "prior": 48}
    members = [
        {"name": "flow", "adapter": "flow", "prior": 42, "options": {"preset": "medium"}},
        {"name": "x", **forgets, "options": {"preset": "medium", "patience": PATIENCE}},
        {"name": "y", **forgets, "options": {"preset": "fast", "patience": PATIENCE}},
        {"name": "theirs", "adapter": "folder", "prior": 30,
         "options": {"path": str(root / "theirs")}},
    ]  # fmt: skip
    config = {
        "members": members,
        "refinement": {"budget": 4.0, "rounds": 2},
        "output": {"report": False},
    }
    (root / "c.yaml").write_text(yaml.safe_dump(config))
    return root


def command_line(made: Path, output: Path, *more: str) -> list[str]:
    return arguments(made / "data", made / "c.yaml", output, "--labels", "Labels", *more)


@pytest.fixture(scope="module")
def refined(made) -> Path:
    out = made / "run"
    assert command.main(command_line(made, out)) == 0
    return out


def records(out: Path) -> list[SelectionRecord]:
    return [read_record(path) for path in sorted((out / "selection").glob("*.json"))]


def part_of(dispute: Dispute, member: str):
    return next(told for told in dispute.claims if member in told.members)


def test_the_mask_that_leads_back_overrules_those_that_lost_the_object(refined):
    for record in records(refined):
        lost = record.disputes[0]
        assert lost.start == PATIENCE + 1
        assert set(part_of(lost, "x").members) == {"x", "y", "theirs"}
        assert not part_of(lost, "x").seen
        assert part_of(lost, "flow").returned > 0.7
        assert lost.taken == part_of(lost, "flow") != lost.claims[0]


def test_members_are_corrected_where_they_can_run(refined):
    corrected = [set(record.disputes[0].corrected) for record in records(refined)]
    assert all(names and names <= {"x", "y"} for names in corrected)


def test_what_is_lost_again_is_corrected_in_a_second_round(refined):
    """Who was corrected forgets the object once more."""
    for record in records(refined):
        first, second, *_ = record.disputes
        assert (first.round, second.round) == (1, 2)
        assert second.start > first.frame + PATIENCE
        assert first.frame < second.sure < second.start
        assert second.corrected


@pytest.mark.slow
def test_the_selected_masks_have_the_object_again(made, refined):
    assert not RefinementOptions().on
    plain = made / "plain"
    assert command.main(command_line(made, plain, "--set", "refinement.budget=0")) == 0
    before, after = records(plain), records(refined)
    for old, new in zip(before, after, strict=True):
        assert old.truth is not None
        assert new.truth is not None
        assert new.truth.by_object[3] > old.truth.by_object[3] + 0.1
        assert old.disputes == ()
    assert not (plain / "refinement").exists()


@pytest.mark.slow
def test_the_table_counts_who_was_corrected(made, refined):
    summary = summarise(records(refined), (), 0.0)
    assert set(summary.refined) <= {"x", "y"}
    assert sum(summary.refined.values()) == sum(
        len(dispute.corrected) for record in records(refined) for dispute in record.disputes
    )
    assert "refined" in summary.table().splitlines()[0]
    assert "refined" not in summarise(records(made / "plain"), (), 0.0).table()


def test_jobs_can_be_sent_to_workers(refined):
    record = records(refined)[0]
    told = {"a": record.disputes}
    for kind in (work.LookJob, work.SettleJob):
        job = kind(None, None, refined, {}, "how", {}, disputes=told, keys={"a": "k"})
        again = pickle.loads(pickle.dumps(job))
        assert again.key("a") == job.key("a") != work.key_of(record.disputes[:-1], "k")


def failing(*arguments):
    raise ValueError("this cannot be followed")


@pytest.mark.slow
def test_what_could_not_be_refined_is_a_failure_and_done_by_the_next_run(
    made, refined, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "run"
    line = command_line(made, out, "--set", "execution.limits.errors=1")
    monkeypatch.setattr(work, "lead_back", failing)
    assert command.main(line) == 1
    (told,) = {
        row["message"] for row in json.loads((out / "failures.json").read_text())["failures"]
    }
    assert told.startswith("refinement: ")
    assert "this cannot be followed" in told
    assert len(list((out / "masks").glob("*"))) == 2
    monkeypatch.undo()
    monkeypatch.setitem(forgetful.registry.BUILT_IN, "forgetful", "forgetful:ForgetfulSegmenter")
    assert command.main(line) == 0
    assert everything(out) == everything(refined)


@pytest.mark.slow
def test_who_only_stands_still_follows_nothing_back(made, tmp_path):
    """Whatever its prior is: to a mask that does not move everything leads back."""
    values = yaml.safe_load((made / "c.yaml").read_text())
    values["members"].append({"name": "still", "adapter": "hold", "prior": 55})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    line = arguments(made / "data", tmp_path / "c.yaml", tmp_path / "run", "--videos", "a")
    assert command.main(line) == 0
    told = [claim for d in records(tmp_path / "run")[0].disputes for claim in d.claims]
    moved = [claim for claim in told if "flow" in claim.members and claim.seen]
    assert moved
    assert all(claim.returned > claim.standing + 0.3 for claim in moved)


def everything(out: Path) -> dict[str, object]:
    """Masks and zip by content, and the records but for what took how long."""
    stored = {
        path.name: json.loads(path.read_text()) | {"seconds": 0}
        for path in (out / "selection").glob("*.json")
    }
    return {**contents(out), **stored}


def test_a_second_run_changes_nothing_and_runs_nothing(made, refined, monkeypatch):
    before = everything(refined)
    assert not list(refined.glob("predictions/*/*"))
    assert not list(refined.glob("refinement/*/*/members/*"))
    for name in ("lead_back", "run_on", "finish_video"):
        monkeypatch.setattr(work, name, None)
    monkeypatch.setattr(rounds, "run_pairs", None)
    assert command.main(command_line(made, refined)) == 0
    assert everything(refined) == before


KILLED = """
import os, signal, sys
import forgetful
from ensemble.refinement import rounds, work
from ensemble.refinement.options import RefinementOptions
from ensemble.run import main
forgetful.register()
steps = [int(sys.argv[1])]
def dying(function):
    def wrapped(*args, **kwargs):
        steps[0] -= 1
        if steps[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapped
for name in ("lead_back", "write_json", "run_on", "finish_video"):
    setattr(work, name, dying(getattr(work, name)))
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(1, marks=pytest.mark.soak),
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(5, marks=pytest.mark.soak),
    ],
)
def test_a_killed_driver_leaves_nothing_wrong(made, refined, tmp_path, steps):
    """Before the first dispute is stored, between the two videos, and while members run again."""
    out = tmp_path / "killed"
    line = command_line(made, out)
    tests = Path(forgetful.__file__).parent
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(steps), *line],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"},
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert command.main(line) == 0
    assert everything(out) == everything(refined)


@pytest.mark.slow
def test_a_small_budget_goes_to_the_most_valuable_dispute(made, tmp_path):
    out = tmp_path / "run"
    assert command.main(command_line(made, out, "--set", "refinement.budget=0.1")) == 0
    looked = [dispute for record in records(out) for dispute in record.disputes]
    assert len(looked) == 1
    assert looked[0].corrected == ()
