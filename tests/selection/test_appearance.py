"""Whether a mask covers what looks like the object, and nothing that does not."""

import numpy as np
import pytest

from mose import Video
from selection.appearance import (
    BLOCK,
    NEIGHBOURS,
    SAMPLES,
    Looks,
    cover,
    describe,
    divide,
    nearest,
    resemblance,
)


def square(left, object_id=3):
    ids = np.zeros((48, 64), np.uint8)
    ids[16:32, left : left + 16] = object_id
    return ids


def moving_square(frames=3, colour=(220, 20, 20), start=8, step=8):
    images = np.random.default_rng(0).integers(30, 60, (frames, 48, 64, 3)).astype(np.uint8)
    for index, image in enumerate(images):
        image[square(start + step * index) > 0] = colour
    return Video.from_arrays(images, {0: square(start)})


def test_a_mask_that_follows_its_object_is_more_like_it():
    looks = Looks(moving_square())
    follows, stays = (looks.likeness(2, square(left), 3) for left in (24, 8))
    both = looks.likeness(2, np.maximum(square(24), square(8)), 3)
    part = looks.likeness(2, np.where(np.arange(64) < 32, square(24), 0).astype(np.uint8), 3)
    assert follows > max(stays, both, part) + 0.2
    assert looks.likeness(2, np.zeros((48, 64), np.uint8), 3) == 0
    assert 0 <= stays < follows <= 1


def test_nothing_is_said_before_an_object_is_given_and_between_samples():
    video = moving_square(30, step=1)
    looks = Looks(video)
    assert len(looks.sampled) == SAMPLES
    assert {0, 29} <= looks.sampled
    for index in range(30):
        known = index in looks.sampled and index > 0
        assert np.isnan(looks.likeness(index, square(8 + index), 3)) != known
    assert np.isnan(looks.likeness(29, square(8), 7))


def test_an_object_that_fills_the_frame_has_nothing_to_be_told_from():
    images = np.zeros((2, 48, 64, 3), np.uint8)
    video = Video.from_arrays(images, {0: np.full((48, 64), 1, np.uint8)})
    assert np.isnan(Looks(video).likeness(1, square(8, 1), 1))


@pytest.mark.parametrize("shape", [(48, 64), (480, 854), (37, 301)])
def test_cells_cover_frames_of_any_size(shape):
    image = np.random.default_rng(1).integers(0, 255, (*shape, 3)).astype(np.uint8)
    cells = describe(image)
    assert min(cells.shape[:2]) == 30
    assert np.isfinite(cells).all()
    ids = np.zeros(shape, np.uint8)
    ids[: shape[0] // 2] = 4
    covered = cover(ids, 4, cells.shape)
    assert covered.shape == cells.shape[:2]
    assert covered.mean() == pytest.approx(0.5, abs=0.02)
    alike = resemblance(cells, *divide(cells, covered))
    assert ((alike >= 0) & (alike <= 1)).all()
    assert alike[covered == 1].mean() > 0.9 > 0.1 > alike[covered == 0].mean()


@pytest.mark.parametrize("count", [1, 2, NEIGHBOURS, 150])
@pytest.mark.parametrize("steps", [2, 255])
def test_distances_are_those_to_the_nearest_cells_ties_among_them_too(count, steps):
    rng = np.random.default_rng(count)
    cells, others = (
        (rng.integers(0, steps, (n, 6)) / steps).astype(np.float32) for n in (2 * BLOCK + 5, count)
    )
    distances = np.linalg.norm(cells[:, None].astype(float) - others, axis=2)
    expected = np.sort(distances, axis=1)[:, :NEIGHBOURS].mean(axis=1)
    np.testing.assert_allclose(nearest(cells, others), expected, atol=1e-3)


def test_the_share_of_a_cell_is_counted_at_sixteen_points():
    ids = np.random.default_rng(2).integers(0, 4, (24, 40)).astype(np.uint8)
    expected = (ids == 2).reshape(6, 4, 10, 4).mean(axis=(1, 3))
    assert (cover(ids, 2, (6, 10)) == expected).all()


def test_a_tiny_object_still_has_cells():
    inside, outside = divide(np.arange(24.0).reshape(3, 4, 2), np.eye(3, 4) * 0.05)
    assert len(inside) == 3
    assert len(inside) + len(outside) == 12
