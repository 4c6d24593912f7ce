"""Resuming from what the run remembers: nothing whole is looked into, nothing changed is missed."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml
from small_runs import MEMBERS, make_video

from ensemble import resume
from ensemble import run as command
from ensemble.plan import Plan, make_plan, open_data
from ensemble.run import configure, parser
from ensemble.storage.journal import Journal, Whole, open_journal, read_journal
from ensemble.storage.run_directory import RunDirectory
from mose.dataset import Dataset

VIDEOS = ("a", "b", "c")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run that kept its predictions, taken for a large one."""
    monkeypatch.setattr(resume, "LOOK_AT_ALL", 0)
    data = tmp_path / "data"
    for name in VIDEOS:
        make_video(data, name, 3)
    age(data)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"members": MEMBERS}))
    assert command.main(arguments(tmp_path)) == 0
    return tmp_path


def age(folder: Path) -> None:
    """Files that were changed a moment ago are not relied on."""
    past = time.time() - 60
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (past, past))


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        *("--dataset", str(folder / "data"), "--split", "test", "--executor", "inline"),
        *("--config", str(folder / "c.yaml"), "--output", str(folder / "run"), "--keep-soft"),
        *more,
    ]


def plan(folder: Path, *more: str) -> Plan:
    config = configure(parser().parse_args(arguments(folder, *more)))
    return make_plan(config, open_data(config, folder), RunDirectory(folder / "run"))


def to_run(plan: Plan) -> list[tuple[str, str]]:
    return sorted((pair.member, pair.video) for pair in plan.pairs)


def test_what_is_remembered_is_not_opened(run, monkeypatch):
    def opened(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(Dataset, "video", opened)
    monkeypatch.setattr(RunDirectory, "finished", opened)
    monkeypatch.setattr(RunDirectory, "whole_pair", opened)
    made = plan(run)
    assert (sorted(made.finished), made.pairs) == (sorted(VIDEOS), ())
    assert made.inputs["a"].frames == 3
    assert made.inputs["a"].units == 3 * 1 * 48 * 64


def test_everything_is_looked_at_where_nothing_is_remembered(run):
    (RunDirectory(run / "run").journal).unlink()
    assert sorted(plan(run).finished) == sorted(VIDEOS)
    assert not (RunDirectory(run / "run").journal).exists(), "only the holder of the lease writes"
    assert command.main(arguments(run)) == 0
    journal, _ = read_journal(RunDirectory(run / "run"))
    assert (len(journal.inputs), len(journal.videos), len(journal.pairs["flow"])) == (3, 3, 3)


def new_mask(run):
    path = run / "data/Annotations/a/00000.png"
    path.write_bytes((run / "data/Labels/a/00001.png").read_bytes())


def new_frame(run):
    folder = run / "data/JPEGImages/a"
    shutil.copy(folder / "00002.jpg", folder / "00003.jpg")


def torn_prediction(run):
    with open(run / "run/predictions/flow/a/frames.bin", "r+b") as file:
        file.truncate(10)


def prediction_gone(run):
    shutil.rmtree(run / "run/predictions/flow/a")


def lost_mask(run):
    (run / "run/masks/a/00001.png").unlink()


def lost_pseudo_label(run):
    (run / "run/pseudo-labels/a/00001.png").unlink()


def lost_record(run):
    (run / "run/selection/a.json").unlink()


ALL = [("flow", "a"), ("hold", "a")]
CHANGES = {
    new_mask: ALL,
    new_frame: ALL,
    torn_prediction: ALL[:1],
    prediction_gone: ALL[:1],
    lost_mask: [],
    lost_pseudo_label: [],
    lost_record: [],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changed_is_redone_and_nothing_else(run, change):
    change(run)
    made = plan(run)
    assert sorted(made.finished) == ["b", "c"]
    assert to_run(made) == CHANGES[change]
    assert command.main(arguments(run)) == 0
    frames = made.inputs["a"].frames
    assert len(list((run / "run/masks/a").iterdir())) == frames
    assert len(plan(run).finished) == 3


def test_changed_options_and_weights_are_redone(run, monkeypatch):
    made = plan(run, "--set", "members.flow.options={short_side: 32}")
    assert made.finished == frozenset()
    assert to_run(made) == [("flow", name) for name in VIDEOS]
    made = plan(run, "--set", "fusion.rule=vote")
    assert (made.finished, made.pairs) == (frozenset(), ())
    hashes = {"flow": None, "hold": "f00"}
    monkeypatch.setattr("ensemble.plan.weights_hash", lambda member, fetch: hashes[member.name])
    made = plan(run)
    assert to_run(made) == [("hold", name) for name in VIDEOS]


def test_options_there_and_back_again(run):
    """What is remembered of the first options does not make the second's results whole."""
    assert command.main(arguments(run, "--set", "members.flow.options={short_side: 32}")) == 0
    assert to_run(plan(run)) == [("flow", name) for name in VIDEOS]


def test_frame_overwritten_in_place_is_noticed_by_the_worker(run):
    """Its folder's time stays: the plan takes the video as it was, the workers do not, and no
    prediction of what it was is used."""
    frame = run / "data/JPEGImages/a/00001.jpg"
    frame.write_bytes(frame.read_bytes() + b"\0")
    assert len(plan(run).finished) == 3
    shutil.rmtree(run / "run/predictions/flow/a")
    before = (run / "run/predictions/hold/a/manifest.json").stat().st_mtime_ns
    assert command.main(arguments(run)) == 0
    assert (run / "run/predictions/hold/a/manifest.json").stat().st_mtime_ns != before
    assert len(plan(run).finished) == 3


def test_a_video_that_changed_a_moment_ago_is_looked_at_again(run):
    soon = time.time() + 3600  # still a moment ago when a busy machine comes to it
    os.utime(run / "data/Annotations/a/00000.png", (soon, soon))
    assert command.main(arguments(run)) == 0
    assert "a" not in read_journal(RunDirectory(run / "run"))[0].inputs


def test_leftovers_of_killed_writers_are_removed(run):
    left = [
        run / "run/predictions/flow/.a.dead-7.partial",
        run / "run/masks/.a.123.partial",
        run / "run/pseudo-labels/.a.123.partial",
        run / "run/report/frames/.a.123.partial",
        run / "run/.submission.zip.123.partial",
    ]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "frames.bin").write_bytes(b"half")
    plan(run)
    assert all(folder.exists() for folder in left), "a look at the plan removes nothing"
    assert command.main(arguments(run)) == 0
    assert not any(folder.exists() for folder in left)


def test_torn_lines_cost_only_themselves(tmp_path):
    run = RunDirectory(tmp_path)
    with open_journal(run) as journal:
        journal.note_pair("m", "a", Whole("k1", (1, 2)))
    with open(RunDirectory(tmp_path).journal, "a") as file:
        file.write('["pair","m","b","k')
    with open_journal(run) as journal:
        journal.note_pair("m", "c", Whole("k2", (3, 4)))
        journal.note_video("c", Whole("k3", (5, 6, 7, 8)))
    found, lines = read_journal(run)
    assert found.pairs == {"m": {"a": Whole("k1", (1, 2)), "c": Whole("k2", (3, 4))}}
    assert found.videos == {"c": Whole("k3", (5, 6, 7, 8))}
    assert lines == 4
    (RunDirectory(tmp_path).journal).write_bytes(b'\xff\x00garbage\n{}\n[]\n["video"]\n')
    assert len(read_journal(run)[0]) == 0


def test_a_file_of_repetitions_is_shortened(tmp_path):
    run = RunDirectory(tmp_path)
    with open_journal(run) as journal, journal.together():
        for number in range(1500):
            journal.note_pair("m", "a", Whole(f"{number}", (number, 0)))
    with open_journal(run):
        pass
    lines = (RunDirectory(tmp_path).journal).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [["pair", "m", "a", "1499", [1499, 0]]]


def test_a_journal_reads_back_as_it_was_noted(run):
    before, _ = read_journal(RunDirectory(run / "run"))
    again = Journal()
    for line in before.lines():
        again.take_in(line)
    assert again == before
    assert "resume.jsonl" in os.listdir(run / "run")
