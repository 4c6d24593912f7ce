"""Corrections against the reference implementations, which take masks on later frames."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from parity_cases import ROOT, TIE, TOLERANCE, folder, recipe

import adapters
from mose import Video

pytestmark = pytest.mark.usefixtures("one_thread")

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "xmem": ("xmem", {"mem_every": 3, "size": -1}),
    "cutie-base": ("cutie", {"mem_every": 1, "max_mem_frames": 3, "size": -1}),
}
SIZE, FRAMES = (112, 144), 9


@pytest.mark.parametrize("model", CASES)
def test_a_correction_equals_a_later_mask_in_the_reference(model, tmp_path):
    """Cutie with more memory frames than it keeps: the corrected one stays."""
    expected = np.load(ROOT / "tests/fixtures/parity/corrections" / f"{model}.npz")
    manifest = json.loads((folder() / model / "manifest.json").read_text())
    torch.save(recipe().seeded_state_dict(manifest, 1), tmp_path / "weights.pth")
    images, _ = recipe().synthetic_clip(103, FRAMES, *SIZE, 2)
    at = next(int(key.split("_")[1]) for key in expected if key.startswith("correction"))
    corrections = {at: expected[f"correction_{at}"]}
    video = Video.from_arrays(images, {0: expected["mask_0"]}, corrections=corrections)
    adapter, options = CASES[model]
    segmenter = adapters.load(adapter, weights=tmp_path / "weights.pth", **options)
    for index, frame in enumerate(segmenter.segment(video)):
        assert frame.object_ids == (1, 2)
        probabilities = frame.probabilities(*SIZE)
        joint = np.concatenate([1 - probabilities.sum(axis=0, keepdims=True), probabilities])
        wanted = expected["prob_q16"][index].astype(np.float32) / 65535
        assert np.abs(joint[:, ::2, ::2] - wanted).max() <= TOLERANCE, f"frame {index}"
        second, best = np.sort(joint, axis=0)[-2:]
        differ = frame.labels(*SIZE) != expected["ids"][index]
        assert not (differ & (best - second > TIE)).any(), f"frame {index}"
    assert index == FRAMES - 1
