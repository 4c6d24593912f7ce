"""Status of a run from its events alone."""

import json
import time

import pytest

from ensemble.status import main, read_status
from mose import InputError


def events(wall=1000.0):
    return [
        {"event": "Plan", "time": 5.0, "wall": wall, "pairs": {"a": 3, "b": 3}, "videos": 3,
         "frames": {"x": 10, "y": 20, "z": 5}},
        {"event": "WorkerUp", "time": 6.0, "worker": 1, "node": "n1", "pid": 7},
        {"event": "WorkerUp", "time": 6.0, "worker": 2, "node": "n2", "pid": 8},
        {"event": "Done", "time": 8.0, "worker": 1, "seconds": 2.0, "member": "a", "video": "y"},
        {"event": "Retry", "time": 8.5, "member": "b", "video": "x", "category": "suspect",
         "message": "died", "at": 9.0},
        {"event": "WorkerLost", "time": 9.0, "worker": 2, "loss": "died"},
        {"event": "GiveUp", "time": 9.5, "member": "b", "video": "x", "category": "suspect",
         "message": "its worker died", "attempts": 3},
        {"event": "Done", "time": 15.0, "worker": 1, "seconds": 1.0, "member": "", "video": "y"},
    ]  # fmt: skip


def write(folder, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "events.jsonl").write_text(text)


def test_running(tmp_path, capsys):
    write(tmp_path, events(time.time() - 10))
    with open(tmp_path / "events.jsonl", "a") as file:
        file.write('{"event": "Done", "ti')  # the driver is writing, or was killed
    status = read_status(tmp_path)
    assert (status.members["a"].done, status.members["b"].given_up) == (1, 1)
    assert status.members["a"].seconds / status.members["a"].frames == pytest.approx(0.1)
    assert (status.finished, status.videos) == (1, 3)
    assert status.workers == {1: "n1"}
    assert status.left == pytest.approx(10 / 3 * 6)
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "1 of 3 videos finished" in printed
    assert "x: its worker died" in printed
    assert "suspect 1" in printed


def test_latest_invocation_counts(tmp_path):
    second = {"event": "Plan", "time": 1.0, "wall": 2000.0, "pairs": {"b": 1}, "videos": 1,
              "frames": {"x": 10}}  # fmt: skip
    write(tmp_path, [*events(), second, {"event": "End", "time": 3.0}])
    status = read_status(tmp_path)
    assert status.ended
    assert status.latest - status.began == pytest.approx(2.0)
    assert list(status.members) == ["b"]
    assert not status.failures


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="no run"):
        read_status(tmp_path)
