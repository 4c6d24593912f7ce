"""What metrics are made of: regions, scores of frames, scores of videos."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mose.palette import values
from selection.metrics.frames import (
    NOWHERE,
    davis_frame,
    overlap,
    region_frame,
    smoothed_jaccard,
    vots_frame,
)
from selection.metrics.regions import OneObject, Regions, iou, jaccard
from selection.metrics.scorer import VideoScorer, object_score


def square(left, object_id=3, size=4):
    ids = np.zeros((12, 20), np.uint8)
    ids[2 : 2 + size, left : left + size] = object_id
    return ids


def test_regions_know_areas_and_boxes_and_no_void():
    ids = square(5)
    ids[0, 0], ids[11] = 7, 255
    regions = Regions(ids)
    assert regions.shape == (12, 20)
    assert regions.areas == {3: 16, 7: 1}
    assert regions.boxes == {3: (2, 5, 6, 9), 7: (0, 0, 1, 1)}
    with pytest.raises(ValueError, match="uint8"):
        Regions(ids.astype(np.int32))


SIZE = (9, 150)
crops = hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 80)))
corners = st.tuples(st.integers(0, 4), st.integers(0, 70))


@given(st.lists(st.tuples(crops, corners), min_size=2, max_size=2))
def test_a_mask_by_its_part_is_the_mask(placed):
    parts, wholes = [], []
    for mask, (top, left) in placed:
        ids = np.zeros(SIZE, np.uint8)
        ids[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        wholes.append(Regions(ids))
        corner = max(top - 1, 0), max(left - 1, 0) // 64 * 64
        part = ids[corner[0] :, corner[1] : left + mask.shape[1]]
        parts.append((OneObject(mask, (top, left), SIZE), Regions(part, corner, SIZE)))
        for found in parts[-1]:
            assert (found.areas, found.boxes) == (wholes[-1].areas, wholes[-1].boxes)
            assert (found.values, found.shape) == (wholes[-1].values, SIZE)
        assert np.array_equal(parts[-1][0].ids, ids)
    for score in (davis_frame, vots_frame):
        wanted = score(*wholes, 1)
        for pair in zip(*parts, strict=True):
            assert score(*pair, 1) == wanted


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=20)))
def test_values_are_those_of_every_pixel(ids):
    for mask in (ids, ids // 200, ids[:, ::2]):
        assert values(mask) == sorted(set(mask.ravel().tolist()))


def test_overlap_is_counted_in_pixels():
    one, other = Regions(square(5)), Regions(square(7))
    assert overlap(one, other, 3) == (8, 24)
    assert iou(one, other, 3) == jaccard(8, 24) == pytest.approx(1 / 3)
    assert jaccard(0, 0) == 1.0
    assert smoothed_jaccard(0, 1) == 0.5, "one stray pixel costs half"


def test_a_frame_is_scored_with_and_without_a_boundary():
    one, other = Regions(square(5)), Regions(square(7))
    assert davis_frame(one, one, 3).F == 1.0
    assert region_frame(one, other, 3).F == region_frame(one, other, 3).J == pytest.approx(1 / 3)
    assert object_score(one, other, 9) is NOWHERE
    assert not object_score(one, Regions(square(5, 4)), 3).in_truth


def test_an_object_that_appears_late_was_right_before():
    scorer = VideoScorer("davis")
    empty = np.zeros((12, 20), np.uint8)
    scorer.add(empty, empty)
    scorer.add(square(5), square(7))
    (series,) = scorer.series().values()
    assert [frame.J for frame in series] == [1.0, pytest.approx(1 / 3)]
    assert scorer.scores()[3]["J"] == pytest.approx(2 / 3)
    assert scorer.predicted == {3}
    with pytest.raises(ValueError, match="cannot be compared"):
        scorer.add(empty, empty[1:])
