"""``output.overlap``: objects by themselves through fusion, choice, masks and zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

import board_layouts
import cv2
import numpy as np
import pytest
import small_runs
import yaml
from layouts import blocks, write_frames, write_masks

from adapters.expansion import Expansion, expand
from ensemble.finishing.objects import plane_path
from ensemble.fusion.overlap import alone, own_mask, verbatim
from ensemble.run import main
from ensemble.storage.predictions import StoredFrame
from mose import open_video
from mose.boards import board_named
from mose.masks import read_mask
from selection.evaluate import EvaluationScope, evaluate
from selection.metrics import Regions, object_score
from selection.metrics.regions import OverlappingRegions

SIZE = (12, 16)


def stored(rule: str, native: np.ndarray, ids: np.ndarray | None = None) -> StoredFrame:
    sure = np.ones(2, np.float32)
    shown = np.zeros(SIZE, np.uint8) if ids is None else ids
    window = (0, 0, *SIZE) if "aggregate" in rule else None
    expansion = Expansion(rule, SIZE if window else None, window)
    return StoredFrame(3, (1, 7), sure, sure, native, expansion, shown)


def logits() -> np.ndarray:
    """Both objects claim the middle; object 7 is surer of it."""
    native = np.full((2, *SIZE), -6, np.float32)
    native[0, 2:8, 2:10] = 3
    native[1, 4:10, 6:14] = 4
    return native


@pytest.mark.parametrize("rule", ["exclusive", "upsample-aggregate", "aggregate-upsample"])
def test_an_object_by_itself_has_what_another_hides(rule):
    frame = stored(rule, logits())
    first, second = (alone(frame, i, SIZE).ids for i in (1, 7))
    assert np.array_equal(first == 1, logits()[0] > 0)
    assert np.array_equal(second == 7, logits()[1] > 0)
    together = frame.probabilities(*SIZE)
    assert not (together > 0.5).all(axis=0).any()


@pytest.mark.parametrize("rule", ["exclusive", "probability", "upsample-aggregate",
                                  "aggregate-upsample"])  # fmt: skip
@pytest.mark.parametrize("size", [(40, 56), (61, 90)])
def test_the_mask_of_one_object_is_where_it_is_likelier_than_not(rule, size):
    rng = np.random.default_rng(4)
    native = cv2.GaussianBlur(rng.normal(0, 9, (11, 15)).astype(np.float32), (5, 5), 0)[None]
    if rule == "probability":
        native = 1 / (1 + np.exp(-native))
    padded = (44, 60) if "aggregate" in rule else None
    window = (2, 1, 40, 56) if padded else None
    expansion = Expansion(rule, padded, window)
    likelier = expand(native, expansion, *size)[0] > 0.5
    assert (own_mask(native, expansion, size) != likelier).sum() <= 2  # of rounding
    assert likelier.any()


def test_probabilities_are_taken_against_the_background_alone():
    native = np.zeros((2, *SIZE), np.float32)
    native[:, 3, 3] = 0.4, 0.5
    frame = stored("probability", native)
    one = alone(frame, 1, SIZE)
    assert one.probabilities(*SIZE)[0, 3, 3] == pytest.approx(0.4 / 0.5, abs=1e-6)
    assert one.object_ids == (1,)
    assert one.ids[3, 3] == 1


def test_of_ids_and_of_unknown_objects_nothing_is_made_up():
    ids = blocks(1, 7, size=SIZE)
    assert np.array_equal(alone(stored("labels", ids, ids), 7, SIZE).ids, np.where(ids == 7, 7, 0))
    assert not alone(stored("exclusive", logits()), 9, SIZE).ids.any()


def test_overlapping_masks_are_scored_each_by_itself():
    first, second = np.zeros((2, *SIZE), np.uint8)
    first[2:8, 2:10], second[4:10, 6:14] = 1, 7
    both = OverlappingRegions({1: Regions(first), 7: Regions(second)}, SIZE)
    assert both.areas == {1: 48, 7: 48}
    assert both.plane(1).common(both.plane(7)) == 16
    for object_id, mask in ((1, first), (7, second)):
        score = object_score(both, Regions(mask), object_id)
        assert (score.J, score.F) == (1.0, 1.0)
    assert OverlappingRegions({}, SIZE).areas == {}


def run_of(laid: board_layouts.Laid, output: Path, *more: str) -> int:
    config = output.parent / "config.yaml"
    content = {"members": small_runs.MEMBERS, "output": {"report": False, "overlap": True}}
    config.write_text(yaml.safe_dump(content))
    where = ("--dataset", str(laid.root), "--split", laid.split, "--config", str(config))
    return main([*where, "--output", str(output), "--executor", "inline", *more])


def test_a_run_keeps_given_masks_whole_and_packs_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    laid = board_layouts.sav(tmp_path / "data")
    assert run_of(laid, tmp_path / "out") == 0
    given = laid.truth / "aa" / "001" / "00004.png"
    objects = tmp_path / "out" / "objects" / "aa"
    wanted = read_mask(given, binary=True) > 0
    kept = read_mask(plane_path(objects, 2, "00004"), binary=True) > 0
    assert np.array_equal(kept, wanted)
    assert not read_mask(plane_path(objects, 2, "00003"), binary=True).any()
    archive = tmp_path / "out" / "submission.zip"
    with zipfile.ZipFile(archive) as packed:
        assert len(packed.namelist()) == 2 * (4 + 3)
    scope = EvaluationScope(board=board_named("sav"))
    assert evaluate(archive, laid.truth, None, scope).mean["J"] > 0.3
    # without it, an earlier run's masks of single objects go
    assert run_of(laid, tmp_path / "out", "--set", "output.overlap=false") == 0
    assert not objects.exists()


def test_given_masks_of_single_objects_are_verbatim(tmp_path):
    names = ["00000", "00001"]
    write_frames(tmp_path / "frames", names, SIZE)
    whole = {i: np.zeros(SIZE, np.uint8) for i in (1, 2)}
    whole[1][2:9, 2:10], whole[2][4:8, 5:9] = 1, 1
    for i, mask in whole.items():
        write_masks(tmp_path / "masks" / f"{i:03d}", {"00000": mask})
    video = open_video(tmp_path / "frames", tmp_path / "masks")
    nothing = np.zeros(SIZE, bool)
    for i, mask in whole.items():
        assert np.array_equal(verbatim(nothing, video, 0, i), mask > 0)
        assert np.array_equal(verbatim(~nothing, video, 1, i), ~nothing)
    assert not np.array_equal(video.prompts[0] == 1, whole[1] > 0)
