"""LiVOS's adapter beyond the contract: its size, its state, objects that come later."""

import numpy as np
import pytest
import tiny_cutie

from adapters.livos.segmenter import LivosSegmenter
from mose import InputError, Video

pytestmark = pytest.mark.usefixtures("one_thread")

FRAMES = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8)


def given(*ids):
    mask = np.zeros((48, 64), np.uint8)
    for place, object_id in enumerate(ids):
        mask[8:40, 4 + 20 * place : 20 + 20 * place] = object_id
    return mask


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny_cutie.make_livos(tmp_path_factory.mktemp("livos"), [])["weights"]


def labels(segmenter, video):
    return [frame.labels(48, 64) for frame in segmenter.segment(video)]


def test_a_later_object_changes_nothing_before_it_comes(weights):
    segmenter = LivosSegmenter(weights, size=48)
    one = Video.from_arrays(FRAMES, {0: given(4)})
    two = Video.from_arrays(FRAMES, {0: given(4), 3: given(0, 9)})
    first, second = labels(segmenter, one), labels(segmenter, two)
    for a, b in zip(first[:3], second[:3], strict=True):
        assert np.array_equal(a, b)
    assert [frame.object_ids for frame in segmenter.segment(two)][2:4] == [(4,), (4, 9)]


def test_a_video_leaves_nothing_behind(weights):
    segmenter = LivosSegmenter(weights, size=48)
    video = Video.from_arrays(FRAMES, {0: given(1, 2)})
    first = labels(segmenter, video)
    labels(segmenter, Video.from_arrays(FRAMES[::-1], {0: given(3)}))
    for a, b in zip(first, labels(segmenter, video), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "side"),
    [({"size": 64}, 64), ({"size": -1}, 48), ({"size": 64, "short_side": 32}, 32)],
)
def test_frames_are_resized_to_the_shorter_side(weights, options, side):
    segmenter = LivosSegmenter(weights, **options)
    seen = []
    encode = segmenter.network.encode_images
    segmenter.network.encode_images = lambda images: seen.append(images.shape) or encode(images)
    labels(segmenter, Video.from_arrays(FRAMES[:2], {0: given(1)}))
    assert {min(shape[-2:]) for shape in seen} == {side}


def test_a_size_of_nothing_is_bad_input(weights):
    with pytest.raises(InputError, match="size"):
        LivosSegmenter(weights, size=0)
