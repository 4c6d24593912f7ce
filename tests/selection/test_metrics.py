"""Region and boundary scores: definitions, edge cases, and properties on random masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from selection.metrics import (
    NOWHERE,
    PROTOCOLS,
    FrameScore,
    Regions,
    VideoScorer,
    conclude,
    mean_scores,
    object_score,
)
from selection.metrics.boundary import Boundary, boundary_f, davis_tolerance, mosev2_tolerances
from stseg.errors import InputError

EMPTY = np.zeros((64, 64), np.uint8)


def disc(radius: int, shape: tuple[int, int] = (64, 64), at: tuple[int, int] | None = None):
    """A round object with id 1."""
    row, column = at or (shape[0] // 2, shape[1] // 2)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).astype(np.uint8)


def score(prediction, truth, protocol: str = "davis", object_id: int = 1) -> FrameScore:
    return object_score(Regions(prediction), Regions(truth), object_id, protocol)


# ---- an independent, slow definition --------------------------------------------------------


def slow_boundary(mask: np.ndarray) -> set[tuple[int, int]]:
    goes_on = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return {
        (y, x)
        for y, x in np.ndindex(mask.shape)
        if len(set(goes_on[y : y + 2, x : x + 2].ravel().tolist())) > 1
    }


def slow_disk(radius: float) -> set[tuple[int, int]]:
    """Offsets of the samples -radius, 1 - radius, ... in the disk, the middle one at 0."""
    count = math.ceil(2 * radius + 1)
    inside = [
        (i, j)
        for i in range(count)
        for j in range(count)
        if (i - radius) ** 2 + (j - radius) ** 2 <= radius**2
    ] or [(0, 0)]
    return {(i - count // 2, j - count // 2) for i, j in inside}


def slow_f(prediction: np.ndarray, truth: np.ndarray, radius: float) -> float:
    predicted, true, disk = slow_boundary(prediction), slow_boundary(truth), slow_disk(radius)
    if not predicted or not true:
        return float(not predicted and not true)

    def matched(pixels, others):
        return sum(any((y + i, x + j) in others for i, j in disk) for y, x in pixels) / len(pixels)

    precision, recall = matched(predicted, true), matched(true, predicted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@st.composite
def id_masks(draw, count: int = 2, largest: int = 90):
    """Masks of one size: rectangles and single pixels of ids 1 to 3, or nothing at all."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    masks = []
    for _ in range(count):
        mask = np.zeros((height, width), np.uint8)
        for _ in range(draw(st.integers(0, 4))):
            top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            tall, wide = draw(st.integers(1, height)), draw(st.integers(1, width))
            mask[top : top + tall, left : left + wide] = draw(st.integers(0, 3))
        masks.append(mask)
    return masks


@settings(max_examples=60, deadline=None)
@given(id_masks(largest=40), st.sampled_from([0.11, 0.7, 1.0, 1.3, 2.0, 3.6]))
def test_boundary_f_is_the_slow_definition(masks, radius):
    prediction, truth = (mask == 1 for mask in masks)
    fast = boundary_f(Boundary.of(prediction), Boundary.of(truth), radius)
    assert fast == pytest.approx(slow_f(prediction, truth, radius), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(id_masks(), st.sampled_from([name for name in PROTOCOLS if name != "vost"]))
def test_scores_are_the_slow_definitions(masks, protocol):
    prediction, truth = masks
    found = score(prediction, truth, protocol)
    mine, true = prediction == 1, truth == 1
    both, either = int((mine & true).sum()), int((mine | true).sum())
    j, f = found.J, found.F
    if protocol == "mosev2":
        assert j == (both + 1) / (either + 1)
        radius, adaptive = mosev2_tolerances(*truth.shape, int(true.sum()))
        assert found.F_adaptive == pytest.approx(slow_f(mine, true, adaptive), abs=1e-12)
    else:
        assert j == (both / either if either else 1)
        radius = davis_tolerance(*truth.shape)
    assert f == pytest.approx(slow_f(mine, true, radius), abs=1e-12)


# ---- properties -----------------------------------------------------------------------------


@settings(deadline=None)
@given(id_masks(), st.sampled_from(PROTOCOLS))
def test_scores_lie_between_0_and_1_and_j_is_symmetric(masks, protocol):
    for object_id in (1, 2, 3):
        found = score(*masks, protocol, object_id)
        assert 0 <= found.J <= 1
        assert 0 <= found.F <= 1
        assert 0 <= found.F_adaptive <= 1
        assert score(*masks[::-1], protocol, object_id).J == found.J


@settings(deadline=None)
@given(id_masks(count=1), st.sampled_from(PROTOCOLS))
def test_equal_masks_score_one(masks, protocol):
    # the disk of the MOSEv2 scorer misses its own centre on small frames
    whole = protocol != "mosev2" or math.hypot(*masks[0].shape) >= 125
    for object_id in (1, 2, 3):
        found = score(masks[0], masks[0], protocol, object_id)
        assert found.J == 1
        assert not whole or (found.F, found.F_adaptive) == (1, 1)


@settings(max_examples=40, deadline=None)
@given(id_masks(), st.permutations([1, 2, 3, 77, 254]), st.sampled_from(PROTOCOLS))
def test_renaming_objects_renames_scores(masks, names, protocol):
    renamed = np.array([0, *names], np.uint8)
    before, after = Regions(masks[0]), Regions(renamed[masks[0]])
    truth, renamed_truth = Regions(masks[1]), Regions(renamed[masks[1]])
    for object_id in (1, 2, 3):
        new_id = int(renamed[object_id])
        assert object_score(before, truth, object_id, protocol) == object_score(
            after, renamed_truth, new_id, protocol
        )


@settings(max_examples=40, deadline=None)
@given(id_masks(largest=60), st.integers(0, 75), st.integers(0, 75))
def test_moving_both_masks_changes_nothing(masks, down, right):
    def on_canvas(mask, top, left):
        canvas = np.zeros((150, 150), np.uint8)
        canvas[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return canvas

    here = score(*(on_canvas(mask, 1, 1) for mask in masks))
    assert score(*(on_canvas(mask, 1 + down, 1 + right) for mask in masks)) == here


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70)), elements=st.integers(0, 3))
)
def test_regions_know_areas_and_boxes(mask):
    regions = Regions(mask)
    assert regions.areas == {i: int((mask == i).sum()) for i in np.unique(mask).tolist() if i}
    for object_id, (top, left, bottom, right) in regions.boxes.items():
        rows, columns = np.nonzero(mask == object_id)
        assert (top, bottom) == (rows.min(), rows.max() + 1)
        assert (left, right) == (columns.min(), columns.max() + 1)


# ---- edge cases -----------------------------------------------------------------------------


def test_a_stray_pixel_on_a_frame_without_the_object():
    stray = EMPTY.copy()
    stray[5, 7] = 1
    assert score(stray, EMPTY, "mosev2") == FrameScore(0.5, 0, 0, False, True)
    assert score(stray, EMPTY, "davis") == FrameScore(0, 0, 0, False, True)


def test_a_missed_object_scores_zero():
    assert score(EMPTY, disc(9)) == FrameScore(0, 0, 0, True, False)


def test_an_object_in_neither_mask_scores_one():
    assert score(EMPTY, EMPTY) == NOWHERE


def test_a_mask_that_fills_the_frame_has_no_boundary():
    full = np.ones_like(EMPTY)
    assert score(full, full).F == 1
    assert score(disc(9), full).F == 0


def test_objects_at_the_border_have_no_boundary_along_it():
    left = np.zeros((40, 50), np.uint8)
    left[:, :25] = 1
    narrower = np.zeros((40, 50), np.uint8)
    narrower[:, :24] = 1
    assert score(narrower, left).F == 1
    assert score(narrower, left).J == 24 / 25


def test_masks_a_tolerance_apart_match_and_one_pixel_further_do_not():
    height, width = 480, 854
    tolerance = int(davis_tolerance(height, width))
    truth = np.zeros((height, width), np.uint8)
    truth[:, :400] = 1
    for shift, wanted in ((tolerance, 1), (tolerance + 1, 0)):
        shifted = np.zeros_like(truth)
        shifted[:, : 400 + shift] = 1
        f = score(shifted, truth).F
        assert f == wanted


def test_tolerances_of_mosev2():
    assert davis_tolerance(1080, 1920) == 18
    limit = 0.008 * math.hypot(1080, 1920)
    assert mosev2_tolerances(1080, 1920, 10_000) == (18, 10)
    assert mosev2_tolerances(1080, 1920, 200_000) == pytest.approx((limit, limit))
    assert mosev2_tolerances(1080, 1920, 0) == pytest.approx((limit, limit))


def test_void_is_no_object():
    mask = disc(9) * np.uint8(255)
    mask[0, 0] = 3
    assert Regions(mask).areas == {3: 1}


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.int64)])
def test_other_arrays_than_id_masks_are_refused(wrong):
    with pytest.raises(ValueError, match="uint8"):
        Regions(wrong)


# ---- videos ---------------------------------------------------------------------------------


def frame(j: float, in_truth: bool, in_prediction: bool = False, f: float | None = None):
    f = j if f is None else f
    return FrameScore(j, f, f, in_truth, in_prediction)


def test_an_object_that_appears_late_counts_from_the_first_frame_or_when_it_is_seen():
    late = disc(9)
    scorers = {protocol: VideoScorer(protocol) for protocol in ("davis", "vos-benchmark")}
    for scorer in scorers.values():
        for prediction, truth in ((EMPTY, EMPTY), (EMPTY, EMPTY), (EMPTY, late), (late, late)):
            scorer.add(prediction, truth)
    assert scorers["davis"].scores()[1]["J"] == 3 / 4
    assert scorers["vos-benchmark"].scores()[1]["J"] == 1 / 2


def test_vos_benchmark_counts_from_a_false_prediction_on():
    scorer = VideoScorer("vos-benchmark")
    for prediction, truth in ((EMPTY, EMPTY), (disc(3), EMPTY), (disc(9), disc(9))):
        scorer.add(prediction, truth)
    assert scorer.scores()[1]["J"] == 1 / 2


def test_ids_that_only_the_prediction_has_are_not_scored():
    scorer = VideoScorer()
    scorer.add(disc(9) * np.uint8(7), disc(9))
    assert scorer.scores().keys() == {1}
    assert scorer.predicted == {7}


def test_objects_that_are_asked_for_are_scored_though_no_frame_has_them():
    scores = {}
    for protocol in PROTOCOLS:
        scorer = VideoScorer(protocol, objects=[5])
        scorer.add(EMPTY, EMPTY)
        scores[protocol] = scorer.scores()[5]
    assert scores["davis"]["J&F"] == 1
    assert scores["mosev2"]["J&F_adaptive"] == 1
    assert scores["vos-benchmark"] is None


@pytest.mark.parametrize(("protocol", "wanted"), [("davis", None), ("vos-benchmark", None)])
def test_a_video_without_a_frame_to_score(protocol, wanted):
    assert VideoScorer(protocol, objects=[1]).scores() == {1: wanted}
    zero = VideoScorer("mosev2", objects=[1]).scores()[1]
    assert (zero["J"], zero["F"], zero["F_adaptive"], zero["J_disappear"]) == (0, 0, 0, None)


def test_disappearance_and_reappearance_are_means_of_runs():
    series = [
        frame(0.9, True),
        frame(1.0, False),
        frame(0.5, False),  # away: 0.75
        frame(0.2, True),
        frame(0.4, True),
        frame(0.6, True),  # back: 0.4
        frame(0.1, False),  # away: 0.1
        frame(0.8, True),  # back: 0.8
    ]
    scores = conclude(series, "mosev2")
    assert scores["J_disappear"] == pytest.approx((0.75 + 0.1) / 2)
    assert scores["J_reappear"] == pytest.approx((0.4 + 0.8) / 2)
    assert scores["J"] == pytest.approx(4.5 / 8)


def test_an_object_that_comes_late_reappears_but_has_not_disappeared():
    scores = conclude([frame(1.0, False), frame(0.3, True)], "mosev2")
    assert scores["J_disappear"] is None
    assert scores["F_reappear"] == 0.3


@pytest.mark.parametrize("present", [True, False])
def test_an_object_that_stays_has_neither(present):
    scores = conclude([frame(0.5, present)] * 3, "mosev2")
    assert (scores["J&F_disappear"], scores["J&F_reappear"]) == (None, None)


def test_means_leave_out_what_an_object_does_not_have():
    stays = conclude([frame(0.5, True)] * 2, "mosev2")
    leaves = conclude([frame(0.7, True), frame(0.2, False, f=0.4)], "mosev2")
    means = mean_scores([stays, leaves, None])
    assert means["J"] == pytest.approx((0.5 + 0.45) / 2)
    assert means["J_disappear"] == 0.2
    assert means["J&F_disappear"] == pytest.approx(0.3)
    assert means["J_reappear"] is None
    assert mean_scores([None]) == {}


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="64"):
        VideoScorer().add(EMPTY, np.zeros((64, 65), np.uint8))


def test_an_unknown_protocol_names_the_valid_ones():
    with pytest.raises(InputError, match="mosev2"):
        VideoScorer("mose")
