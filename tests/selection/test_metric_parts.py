"""What metrics are made of: regions, scores of frames, scores of videos."""

import numpy as np
import pytest

from selection.metrics.frames import NOWHERE, davis_frame, overlap, region_frame, smoothed_jaccard
from selection.metrics.regions import Regions, iou, jaccard
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
