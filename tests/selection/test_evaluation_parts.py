"""What an evaluation compares, and what it gives."""

import csv
import json

import numpy as np
import pytest

from mose.masks import write_mask
from selection.evaluate.inputs import EvaluationScope, Request, plan
from selection.evaluate.masks import MaskFiles
from selection.evaluate.result import OVERALL, Evaluation
from selection.metrics.protocols import protocol_named
from stseg.errors import InputError


def write(folder, video, frames):
    (folder / video).mkdir(parents=True)
    for frame in frames:
        write_mask(folder / video / f"{frame}.png", np.eye(4, dtype=np.uint8))


def test_masks_are_matched_by_name_and_then_by_number(tmp_path):
    masks = MaskFiles(tmp_path, "", ("00001.png", "00002.PNG"))
    assert masks.numbers == {"00001.png": 1, "00002.PNG": 2}
    assert masks.partner("00001.png", None) == "00001.png"
    assert masks.partner("2.png", 2) == "00002.PNG"
    assert masks.partner("3.png", 3) is None


def test_a_plan_leaves_out_what_the_protocol_does(tmp_path):
    for video in ("a", "b"):
        write(tmp_path / "gt", video, ("00000", "00001", "00002"))
    write(tmp_path / "pred", "a", ("00000", "00001", "00002"))
    places = tmp_path / "pred", tmp_path / "gt"
    with pytest.raises(InputError, match=r"video b .* is not in"):
        plan(Request(*places, protocol_named("davis")))
    (task,), notes = plan(Request(*places, protocol_named("davis"), EvaluationScope(partial=True)))
    assert (task.video, task.frames) == ("a", ("00001.png",))
    assert "left out" in notes[0]
    scope = EvaluationScope(all_frames=True, partial=True)
    (task,), _ = plan(Request(*places, protocol_named("vos-benchmark"), scope))
    assert len(task.frames) == 3


def test_means_are_over_objects_and_files_hold_all(tmp_path):
    videos = {
        "a": {1: {"J": 0.2, "F": 0.4, "J&F": 0.3}, 2: {"J": 0.6, "F": 0.8, "J&F": 0.7}},
        "b": {1: {"J": 1.0, "F": 1.0, "J&F": 1.0}, 5: None},
    }
    evaluation = Evaluation("davis", videos)
    assert evaluation.mean["J&F"] == pytest.approx(2 / 3)
    assert evaluation.video_mean("a")["J"] == pytest.approx(0.4)
    assert evaluation.table().splitlines()[-1].split()[:2] == OVERALL.split()
    evaluation.save(tmp_path / "s.json", tmp_path / "s.csv")
    assert json.loads((tmp_path / "s.json").read_text())["videos"]["b"]["5"] is None
    rows = [[cell.strip() for cell in row] for row in csv.reader((tmp_path / "s.csv").open())]
    assert rows[0][:3] == ["sequence", "obj", "J&F"]
    assert rows[1] == ["Global score", "", "66.7", "60.0", "73.3"]
    assert [row[0] for row in rows[2:]] == ["a", "a", "b"]
