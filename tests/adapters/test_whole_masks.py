"""Objects that others hide in part on their first mask, in a video that lets them overlap."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from tiny_models import texture

import adapters
from mose import Video
from mose.prompts import Prompts

HEIGHT, WIDTH = 64, 96
PICTURES = texture(3, HEIGHT, WIDTH, 3)

WHOLE = np.zeros((HEIGHT, WIDTH), bool)
WHOLE[8:48, 16:64] = True
SHOWN = WHOLE.astype(np.uint8)
SHOWN[8:32, 16:64] = 2


def make(ids: np.ndarray) -> Video:
    return Video.from_arrays(PICTURES, {0: ids}, "v")


def overlapping() -> Video:
    video = make(SHOWN)
    video.prompts = Prompts({0: SHOWN}, whole={0: {1: WHOLE}})
    return video.with_overlap()


@pytest.fixture(scope="module", params=["sam2", "transformers", "xmem", "cutie", "livos"])
def segmenter(request, tmp_path_factory) -> adapters.Segmenter:
    folder = tmp_path_factory.mktemp(request.param)
    return tiny_models.load(request.param, folder, [make(SHOWN)], device="cpu")


def last_map(segmenter: adapters.Segmenter, video: Video) -> np.ndarray:
    *_, frame = segmenter.segment(video)
    return frame.native[frame.object_ids.index(1)]


def test_a_network_is_given_the_whole_mask(segmenter):
    shown, whole = (last_map(segmenter, video) for video in (make(SHOWN), overlapping()))
    assert not np.array_equal(shown, whole)
    if segmenter.name in ("sam2", "transformers"):  # follow every object on its own
        alone = last_map(segmenter, make(WHOLE.astype(np.uint8)))
        np.testing.assert_allclose(whole, alone, atol=1e-3)
