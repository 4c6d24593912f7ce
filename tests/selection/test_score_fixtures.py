"""Scores equal those of the public evaluators, on every fixture folder at hand.

Always tested: ``tests/fixtures/scores-synthetic``. Besides it the folder that the environment
variable STSEG_SCORE_FIXTURES names, which must then be whole; without one, the folders
``../shared/fixtures/scores*`` beside the repository where there are any.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mose.masks import read_mask
from selection.evaluate import EvaluationScope, evaluate
from selection.metrics import VideoScorer

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-6

EVALUATORS = {
    "davis": ("davis", False),
    "vos_benchmark": ("vos-benchmark", False),
    "vos_benchmark_all_frames": ("vos-benchmark", True),
    "mosev2": ("mosev2", False),
}


def fixture_folders() -> list[Path]:
    folders = [ROOT / "tests" / "fixtures" / "scores-synthetic"]
    if "STSEG_SCORE_FIXTURES" in os.environ:
        return [*folders, Path(os.environ["STSEG_SCORE_FIXTURES"])]
    return [*folders, *sorted((ROOT.parent / "shared" / "fixtures").glob("scores*"))]


@pytest.fixture(params=fixture_folders(), ids=str)
def folder(request) -> Path:
    missing = [
        name
        for name in ("gt", "pred", "expected.json", "meta.json")
        if not (request.param / name).exists()
    ]
    assert not missing, f"{request.param} lacks {', '.join(missing)}"
    return request.param


def expectations(folder: Path) -> dict:
    expected = json.loads((folder / "expected.json").read_text())
    named = {name for objects in expected.values() for found in objects.values() for name in found}
    assert named, f"{folder}/expected.json expects nothing"
    assert named <= EVALUATORS.keys(), f"no protocol for {sorted(named - EVALUATORS.keys())}"
    return expected


def test_every_object_scores_as_the_public_evaluators_say(folder):
    expected = expectations(folder)
    for evaluator, (protocol, all_frames) in EVALUATORS.items():
        wanted = {
            (video, object_id): found[evaluator]
            for video, objects in expected.items()
            for object_id, found in objects.items()
            if evaluator in found
        }
        if not wanted:
            continue
        scope = EvaluationScope(all_frames, meta=folder / "meta.json")
        result = evaluate(folder / "pred", folder / "gt", protocol, scope).json()
        for (video, object_id), scores in wanted.items():
            where = f"{evaluator}: {video}, object {object_id}"
            if scores is None:
                assert result["videos"][video].get(object_id) is None, where
                continue
            found = result["videos"][video][object_id]
            for name, value in scores.items():
                if not name.endswith("_frames"):
                    assert found[name] == pytest.approx(value, abs=TOLERANCE), f"{where}, {name}"


def test_every_frame_scores_as_davis_says(folder):
    for video, objects in expectations(folder).items():
        listed = {int(i): found["davis"] for i, found in objects.items() if found.get("davis")}
        if not any("J_frames" in scores for scores in listed.values()):
            continue
        scorer = VideoScorer("davis", listed)
        for path in sorted((folder / "gt" / video).glob("*.png"))[1:-1]:
            scorer.add(read_mask(folder / "pred" / video / path.name), read_mask(path))
        for object_id, scores in listed.items():
            frames = scorer.series()[object_id]
            assert [f.J for f in frames] == pytest.approx(scores["J_frames"], abs=TOLERANCE)
            assert [f.F for f in frames] == pytest.approx(scores["F_frames"], abs=TOLERANCE)
