"""Scores of other boards equal those of their public evaluators, on masks made by a recipe."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from mose.masks import write_mask
from selection.evaluate import evaluate

FOLDER = Path(__file__).parents[1] / "fixtures" / "scores-boards"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("protocol", EXPECTED)
def test_every_object_scores_as_the_evaluator_of_its_board_says(protocol, tmp_path):
    for video, pair in runpy.run_path(str(FOLDER / "recipe.py"))["videos"]().items():
        for part, masks in zip(("pred", "gt"), pair, strict=True):
            for frame, ids in enumerate(masks):
                path = tmp_path / part / video / f"{frame:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_mask(path, ids)
    found = evaluate(tmp_path / "pred", tmp_path / "gt", protocol).json()["videos"]
    for video, objects in EXPECTED[protocol].items():
        assert found[video].keys() == objects.keys()
        for object_id, scores in objects.items():
            for name, value in scores.items():
                assert found[video][object_id][name] == pytest.approx(value, abs=1e-6), (
                    video,
                    object_id,
                    name,
                )
