"""Scores of other boards equal those of their public evaluators, on masks made by a recipe."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from mose.masks import write_mask
from selection.evaluate import evaluate
from selection.metrics.protocols.vots import SHORT_ABSENCE

VOTS = json.loads((Path(__file__).parents[1] / "fixtures/scores-boards/vots.json").read_text())
FOLDER = Path(__file__).parents[1] / "fixtures" / "scores-boards"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


RECIPE = runpy.run_path(str(FOLDER / "recipe.py"))


def write(folder: Path, videos, void: bool = True) -> tuple[Path, Path]:
    for video, pair in videos.items():
        for part, masks in zip(("pred", "gt"), pair, strict=True):
            for frame, ids in enumerate(masks):
                path = folder / part / video / f"{frame:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_mask(path, ids if void else np.where(ids == 255, 0, ids).astype(np.uint8))
    return folder / "pred", folder / "gt"


@pytest.mark.parametrize("protocol", EXPECTED)
def test_every_object_scores_as_the_evaluator_of_its_board_says(protocol, tmp_path):
    found = evaluate(*write(tmp_path, RECIPE["videos"]()), protocol).json()["videos"]
    for video, objects in EXPECTED[protocol].items():
        assert found[video].keys() == objects.keys()
        for object_id, scores in objects.items():
            for name, value in scores.items():
                assert found[video][object_id][name] == pytest.approx(value, abs=1e-6), (
                    video,
                    object_id,
                    name,
                )


def test_means_of_vots_are_those_of_the_toolkit(tmp_path):
    found = evaluate(*write(tmp_path, RECIPE["long_videos"](), void=False), "vots").mean
    assert found == {name: pytest.approx(v, abs=1e-6) for name, v in VOTS["mean"].items()}


def test_frames_of_vots_are_counted_as_in_the_toolkit(tmp_path):
    found = evaluate(*write(tmp_path, RECIPE["long_videos"]()), "vots").videos
    for video, objects in VOTS["objects"].items():
        assert {str(i) for i in found[video]} == objects.keys()
        for object_id, said in objects.items():
            scores, count = found[video][int(object_id)], said["counts"]
            there, away = count["T"] + count["F"] + count["M"], count["N"] + count["H"]
            assert scores["Q"] == pytest.approx(said["Q"], abs=1e-6)
            shares = [(scores[name], count[key]) for name, key in
                      (("R", "T"), ("NRE", "M"), ("DRE", "F"))]  # fmt: skip
            for share, frames in shares:
                assert share == (pytest.approx(frames / there) if there else None)
            if away > SHORT_ABSENCE:
                assert scores["ADQ"] == pytest.approx(count["N"] / away)
            else:
                assert scores["ADQ"] is None
