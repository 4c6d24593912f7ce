"""SAM 2 against the package's own predictor: same weights, same JPEGs, same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam2
import torch
from tiny_sam2 import TINY, WIDER, Expected

import adapters
from adapters.sam2.config import OFFICIAL, Sam2Config
from mose import Video

pytestmark = pytest.mark.usefixtures("one_thread")

FRAMES = 20
CONFIGS = {"tiny": (TINY, 2.3), "wider": (WIDER, 1.85)}
STOCK, MOSE = (20.0, -10.0), (7.5, -4.0)
PICTURES, MASKS = tiny_sam2.discs(FRAMES)
FIRST = np.where(MASKS[0] == 4, 4, 0).astype(np.uint8)
LATER = np.where(MASKS[3] != 4, MASKS[3], 0).astype(np.uint8)
CASES = {"one": {0: FIRST}, "three": {0: MASKS[0]}, "late": {0: FIRST, 3: LATER}}
LENGTHS = {"one": FRAMES, "three": 9, "late": FRAMES}
"""Longer than memory; all but one longer than the window of object pointers."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_sam2.jpegs(tmp_path_factory.mktemp("sam2") / "video", PICTURES)


@pytest.fixture(scope="module")
def folders(folder, tmp_path_factory) -> dict[int, Path]:
    """Number of frames -> a folder of the first so many."""
    shorter = tiny_sam2.jpegs(tmp_path_factory.mktemp("sam2") / "video", PICTURES[:9])
    return {FRAMES: folder, 9: shorter}


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS.keys())
def checkpoint(request, tmp_path_factory) -> tuple[Sam2Config, dict[str, torch.Tensor], Path]:
    config, score = request.param
    state = tiny_sam2.weights(config, score)
    return config, state, tiny_sam2.save(tmp_path_factory.mktemp("weights"), config, state)


def check_equal(
    segmenter: adapters.Segmenter,
    video: Video,
    expected: dict[tuple[int, int], Expected],
    tolerance: float = 1e-4,
) -> list[bool]:
    """The same logits, the same masks, the same objects present; returns who was."""
    there = []
    for frame in segmenter.segment(video):
        theirs = [expected[frame.index, object_id] for object_id in frame.object_ids]
        low = np.stack([t.low for t in theirs])
        np.testing.assert_allclose(frame.native, low, atol=tolerance, rtol=0)
        np.testing.assert_array_equal(frame.native > 0, low > 0)
        assert frame.presence == pytest.approx(
            [1 / (1 + np.exp(-t.score)) for t in theirs], abs=1e-5
        )
        there += [t.score > 0 for t in theirs]
        full = np.stack([t.full for t in theirs])
        ids = np.where(full.max(axis=0) > 0, np.asarray(frame.object_ids)[full.argmax(axis=0)], 0)
        # Pixels that two objects, or an object and nothing, want equally may go to either.
        ranked = np.sort(np.concatenate([full, np.zeros_like(full[:1])]), axis=0)
        clear = ranked[-1] - ranked[-2] > 2.1 * tolerance
        assert clear.mean() > 0.8
        np.testing.assert_array_equal(frame.labels(*ids.shape)[clear], ids[clear])
    return there


@pytest.mark.parametrize(
    ("case", "scaling"),
    [
        ("three", MOSE),
        ("late", STOCK),
        pytest.param("one", STOCK, marks=pytest.mark.slow),
        pytest.param("late", MOSE, marks=pytest.mark.slow),
    ],
)
def test_equals_the_package(checkpoint, folders, case, scaling):
    config, state, weights = checkpoint
    folder = folders[LENGTHS[case]]
    scale, bias = scaling
    model = tiny_sam2.package_model(
        config, state, sigmoid_scale_for_mem_enc=scale, sigmoid_bias_for_mem_enc=bias
    )
    expected = tiny_sam2.package_run(model, folder, CASES[case])
    segmenter = adapters.load("sam2", weights=weights, sigmoid_scale=scale, sigmoid_bias=bias)
    video = tiny_sam2.with_prompts(folder, CASES[case])
    there = check_equal(segmenter, video, expected)
    assert len(video.object_ids) < sum(there) < len(there)  # objects come and go


@pytest.mark.parametrize(
    "limit", [pytest.param(-1, marks=pytest.mark.slow), 2], ids=["all", "the latest two"]
)
def test_corrections_equal_further_masks_in_the_package(folder, tmp_path, limit):
    """Further conditioning frames, of one object more than the limit."""
    state = tiny_sam2.weights(TINY)
    corrections = {
        6: np.where(MASKS[5] == 4, 4, 0),
        9: np.where(MASKS[8] != 4, MASKS[8], 0),
        12: np.where(MASKS[10] == 4, 4, 0),
    }
    corrections = {t: ids.astype(np.uint8) for t, ids in corrections.items()}
    model = tiny_sam2.package_model(TINY, state, max_cond_frames_in_attn=limit)
    plain = tiny_sam2.package_run(model, folder, CASES["late"])
    expected = tiny_sam2.package_run(model, folder, CASES["late"], corrections=corrections)
    assert not np.array_equal(plain[14, 4].low, expected[14, 4].low)
    options = {"max_cond_frames_in_attn": limit} if limit > 0 else {}
    weights = tiny_sam2.save(tmp_path, TINY, state)
    segmenter = adapters.load("sam2", weights=weights, **options)
    video = tiny_sam2.with_prompts(folder, CASES["late"]).with_corrections(corrections)
    # What is one rounding apart in the first memories is up to 5e-4 apart after ten frames.
    check_equal(segmenter, video, expected, tolerance=1e-3)


def test_masks_of_boxes_equal_the_package(folder, tmp_path):
    state = tiny_sam2.weights(TINY)
    model = tiny_sam2.package_model(TINY, state)
    boxes = np.array([[10, 5, 40, 30], [0, 0, 80, 60], [3.5, 20.25, 20, 59]], np.float32)
    segmenter = adapters.load("sam2", weights=tiny_sam2.save(tmp_path, TINY, state))
    found = segmenter.outline(tiny_sam2.with_prompts(folder, {})[0], boxes)
    for box, logits in zip(boxes, found, strict=True):
        tracked = model.init_state(str(folder))
        _, _, expected = model.add_new_points_or_box(tracked, 0, 1, box=box)
        np.testing.assert_allclose(logits, expected[0, 0].numpy(), atol=1e-4)


def test_equals_the_package_with_sam_2(folder, tmp_path):
    """The first version: pointers without positions, no embedding of absence."""
    config = Sam2Config(**{**vars(TINY), "version": "2"})
    state = tiny_sam2.weights(config)
    expected = tiny_sam2.package_run(tiny_sam2.package_model(config, state), folder, CASES["late"])
    segmenter = adapters.load("sam2", weights=tiny_sam2.save(tmp_path, config, state))
    check_equal(segmenter, tiny_sam2.with_prompts(folder, CASES["late"]), expected)


@pytest.mark.slow
def test_reliable_conditioned_memory_equals_the_package(folder, tmp_path):
    """And it changes nothing up to an object's first disappearance."""
    state = tiny_sam2.weights(TINY, score=2.33)
    weights = tiny_sam2.save(tmp_path, TINY, state)
    model = tiny_sam2.package_model(TINY, state)
    plain = tiny_sam2.package_run(model, folder, CASES["late"])
    expected = tiny_sam2.package_run(model, folder, CASES["late"], promote=4, quality=0.1)
    for object_id in (1, 4, 7):
        scores = {t: plain[t, object_id].score for t in range(3 if object_id != 4 else 0, FRAMES)}
        gone = min(t for t, score in scores.items() if score <= 0)
        after = [t for t in scores if t > gone]
        changed = [
            np.array_equal(plain[t, object_id].low, expected[t, object_id].low) for t in after
        ]
        assert not all(changed)
    segmenter = adapters.load("sam2", weights=weights, rcms_frames=4, rcms_quality=0.1)
    check_equal(segmenter, tiny_sam2.with_prompts(folder, CASES["late"]), expected)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_equals_the_package_in_short_videos(frames, tmp_path):
    """Shorter than the window of memory, by which pointers are placed in time."""
    state = tiny_sam2.weights(TINY)
    folder = tiny_sam2.jpegs(tmp_path / "video", PICTURES[:frames])
    model: Any = tiny_sam2.package_model(TINY, state)
    expected = tiny_sam2.package_run(model, folder, CASES["three"])
    segmenter = adapters.load("sam2", weights=tiny_sam2.save(tmp_path, TINY, state))
    check_equal(segmenter, tiny_sam2.with_prompts(folder, CASES["three"]), expected)


@pytest.mark.parity
def test_equals_the_package_at_full_size(tmp_path):
    """SAM 2.1 tiny at 1024 pixels, with random weights."""
    config = OFFICIAL["sam2.1-hiera-tiny"]
    pictures, masks = tiny_sam2.discs(4, height=180, width=240)
    state = tiny_sam2.weights(config, score=0.0)
    folder = tiny_sam2.jpegs(tmp_path / "video", pictures)
    expected = tiny_sam2.package_run(tiny_sam2.package_model(config, state), folder, {0: masks[0]})
    torch.save({"model": state}, tmp_path / "sam2.pt")
    segmenter = adapters.load("sam2", weights=tmp_path / "sam2.pt")
    check_equal(segmenter, tiny_sam2.with_prompts(folder, {0: masks[0]}), expected)
