"""Masks along optical flow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import adapters
from adapters.shared.optical_flow import consistent, inside, sharpen, uncovered, warp, working_size
from mose import InputError, Video

HEIGHT, WIDTH = 144, 192


def moving(steps, size=48):
    """A textured square, object 6, that moves over a textured ground, and its masks.

    ``steps`` are its moves in x and y.
    """
    rng = np.random.default_rng(0)

    def texture(height, width):
        coarse = rng.integers(0, 255, (height // 4, width // 4), dtype=np.uint8)
        return np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)

    ground, square = texture(HEIGHT, WIDTH), texture(size, size)
    frames, masks = [], []
    x, y = 8, 20
    for dx, dy in [(0, 0), *steps]:
        x, y = x + dx, y + dy
        frame, mask = ground.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        frame[y : y + size, x : x + size] = square
        mask[y : y + size, x : x + size] = 6
        frames.append(frame)
        masks.append(mask)
    return Video.from_arrays(np.stack(frames), {0: masks[0]}), masks


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(
    ("preset", "least"), [("ultrafast", 0.75), ("fast", 0.5), ("medium", 0.75)]
)
def test_follows_what_moves(preset, least):
    video, masks = moving([(6, 2)] * 10)
    *_, last = adapters.load("flow", preset=preset).segment(video)
    assert iou(last.labels(HEIGHT, WIDTH) == 6, masks[-1] == 6) > least
    assert iou(masks[0] == 6, masks[-1] == 6) < 0.01
    assert last.presence[0] == 1


def test_works_at_the_size_asked_for():
    video, masks = moving([(6, 2)] * 4)
    *_, last = adapters.load("flow", short_side=100).segment(video)
    assert last.native.shape == (1, 100, 133)
    assert iou(last.labels(HEIGHT, WIDTH) == 6, masks[-1] == 6) > 0.7


def test_two_objects_stay_apart():
    video, masks = moving([(6, 0)] * 6)
    both = masks[0].copy()
    both[90:130, 8:60] = 3
    two = Video.from_arrays(np.stack(list(video)), {0: both})
    *_, last = adapters.load("flow").segment(two)
    labels = last.labels(HEIGHT, WIDTH)
    assert last.object_ids == (3, 6)
    assert iou(labels == 6, masks[-1] == 6) > 0.7
    assert iou(labels == 3, both == 3) > 0.9


def test_confidence_falls_where_flow_contradicts_itself():
    video, masks = moving([(4, 0)] * 6)
    noise = np.random.default_rng(1).integers(0, 255, (7, HEIGHT, WIDTH), dtype=np.uint8)
    *_, steady = adapters.load("flow").segment(video)
    *_, lost = adapters.load("flow").segment(Video.from_arrays(noise, {0: masks[0]}))
    assert lost.confidence[0] < 0.5 < steady.confidence[0]


def test_an_object_that_leaves_the_frame_is_absent():
    video, _ = moving([])
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[20:68, :12] = 6
    leaving = np.stack([np.roll(video[0], -6 * t, axis=1) for t in range(6)])
    *_, last = adapters.load("flow").segment(Video.from_arrays(leaving, {0: mask}))
    assert last.presence[0] < 0.5
    assert not last.labels(HEIGHT, WIDTH).any()


def test_options_that_do_not_exist():
    with pytest.raises(InputError, match=r"unknown preset 'medum' .*did you mean 'medium'"):
        adapters.load("flow", preset="medum")
    with pytest.raises(InputError, match=r"short_side of adapter 'flow' is 8"):
        adapters.load("flow", short_side=8)


PLANES = arrays.arrays(
    np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32, allow_subnormal=False)
).map(lambda planes: planes / np.maximum(planes.sum(axis=0), 1))


@settings(max_examples=60)
@given(planes=PLANES)
def test_sharpening_keeps_order_and_sum(planes):
    sharp = sharpen(planes)
    assert sharp.dtype == np.float32
    assert (sharp >= 0).all()
    assert (sharp.sum(axis=0) <= 1 + 1e-5).all()
    whole = np.concatenate([planes, 1 - planes.sum(axis=0, keepdims=True)])
    rest = np.concatenate([sharp, 1 - sharp.sum(axis=0, keepdims=True)])
    best = whole.max(axis=0)
    winner = np.take_along_axis(rest, whole.argmax(axis=0)[None], axis=0)[0]
    assert (winner >= best - 1e-5).all()


@given(planes=PLANES, x=st.integers(-2, 2), y=st.integers(-2, 2))
def test_warping_by_whole_pixels_is_shifting(planes, x, y):
    flow = np.broadcast_to(np.array([x, y], np.float32), (4, 5, 2))
    padded = np.pad(planes, ((0, 0), (2, 2), (2, 2)))
    assert np.array_equal(warp(planes, flow), padded[:, 2 + y : 6 + y, 2 + x : 7 + x])


def test_consistency_is_returning_to_where_one_started():
    there = np.full((6, 8, 2), 2, np.float32)
    assert consistent(there, -there)[:4, :6].all()
    assert not consistent(there, there)[:4, :6].any()


def test_what_nothing_moves_to_was_hidden():
    flow = np.zeros((12, 20, 2), np.float32)
    flow[:, 4:8, 0] = 6  # columns 4 to 7 move to 10 to 13
    hidden = uncovered(flow)
    assert hidden[:, 5:7].all()
    assert not hidden[:, :4].any()
    assert not hidden[:, 8:].any()


def test_inside_is_a_mean_over_the_soft_mask():
    weights = np.array([[0, 1], [1, 1]], np.float32)
    planes = np.array([[[1, 0], [0, 0]], [[0.5, 0.5], [0, 0]], [[0, 0], [0, 0]]], np.float32)
    assert inside(weights, planes).tolist() == [0, 0.5, 0]


@pytest.mark.parametrize(
    ("size", "expected"), [((1080, 1920), (360, 640)), ((240, 100), (240, 100)), ((1, 1), (1, 1))]
)
def test_working_size(size, expected):
    assert working_size(*size, short_side=360) == expected
