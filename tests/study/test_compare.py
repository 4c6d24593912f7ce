"""Comparing two runs: which objects changed, on which frames, by how much."""

import json

import numpy as np
import pytest
from selection_records import record_of, write_record

from mose import InputError
from mose.masks import write_mask
from selection.record import SelectedTruth
from selection.spans import consecutive
from study import compare
from study.compare import compare_runs


def make_run(root, videos, truth=None):
    """``videos``: name -> (T, H, W) ids; one object 5."""
    (root / "selection").mkdir(parents=True)
    for name, frames in videos.items():
        (root / "masks" / name).mkdir(parents=True)
        for index, ids in enumerate(frames):
            write_mask(root / "masks" / name / f"{index:05d}.png", ids)
        judged = None if truth is None else SelectedTruth(root.name, {5: truth})
        write_record(root, record_of(name, candidates=(root.name,), truth=judged))
    return root


def square(frames=6):
    ids = np.zeros((frames, 20, 20), np.uint8)
    ids[:, 4:14, 4:14] = 5
    return ids


def test_equal_runs_differ_in_nothing_but_the_candidate(tmp_path):
    runs = [make_run(tmp_path / name, {"v": square()}) for name in "ab"]
    comparison = compare_runs(*runs)
    (change,) = comparison.objects
    assert (change.j, change.changed, change.frames) == (1.0, 0, ())
    assert change.chosen == ("a", "b")
    assert comparison.changes == (change,)


def test_changes_have_frames_overlap_and_gain(tmp_path):
    other = square()
    other[2:4, 4:9] = 0
    other[5] = 0
    first = make_run(tmp_path / "a", {"v": square(), "w": square()}, truth=0.5)
    second = make_run(tmp_path / "b", {"v": other, "x": square()}, truth=0.75)
    comparison = compare_runs(first, second)
    (change,) = comparison.changes
    assert change.frames == (("00002", "00003"), ("00005", "00005"))
    assert change.j == pytest.approx((3 * 1 + 2 * 0.5 + 0) / 6)
    assert change.gain == 0.25
    assert (comparison.only_first, comparison.only_second) == (("w",), ("x",))
    assert "00002-00003, 00005" in comparison.table()
    assert "+25.0" in comparison.table()


def test_command_writes_everything_as_json(tmp_path, capsys):
    first, second = (make_run(tmp_path / name, {"v": square()}) for name in "ab")
    compare.main([str(first), str(second), "--json", str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text())["objects"][0]["j"] == 1.0
    assert "1 of 1 objects changed" in capsys.readouterr().out


def test_runs_that_cannot_be_compared(tmp_path):
    first = make_run(tmp_path / "a", {"v": square()})
    with pytest.raises(InputError, match="no run folder"):
        compare_runs(first, tmp_path)
    with pytest.raises(InputError, match="no video in common"):
        compare_runs(first, make_run(tmp_path / "b", {"w": square()}))
    with pytest.raises(InputError, match=r"6 masks .* and 4"):
        compare_runs(first, make_run(tmp_path / "c", {"v": square(4)}))


def test_stretches_of_frames():
    assert consecutive([]) == []
    assert consecutive([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
