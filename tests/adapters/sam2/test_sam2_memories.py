"""Memories by quality, motion, anchors and hypotheses, on sequences worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sam2_memories import (
    ANYWHERE,
    answer_of,
    chosen,
    follow,
    frames,
    given,
    moment,
    proposal,
    rectangle,
)

from adapters.sam2.memories.anchors import AnchorMemory, is_usual, shows_another
from adapters.sam2.memories.boxes import BoxFilter, box_iou, box_of
from adapters.sam2.memories.motion import STABLE_FRAMES, MotionMemory
from adapters.sam2.memories.quality import QualityMemory, frame_quality
from adapters.sam2.memories.record import MaskChoice
from adapters.sam2.memories.tree import TreeMemory, best_choices
from adapters.sam2.memories.window import MemoryLimits

LIMITS = MemoryLimits(frames=4, pointers=6)
GOOD, GONE = proposal([0.9]), proposal([0.9], score=-3.0)


class TestQuality:
    def test_is_how_sure_the_object_is_times_predicted_iou(self):
        assert frame_quality(2.0, 0.5) == pytest.approx((2 / (1 + math.exp(-2.0)) - 1) * 0.5)
        assert frame_quality(0.0, 1.0) == frame_quality(-4.0, 1.0) == 0.0

    def test_frames_without_the_object_leave_memory_alone(self):
        memory = QualityMemory(LIMITS)
        given(memory, 0)
        for index in range(1, 5):
            follow(memory, index, GOOD)
        for index in range(5, 30):
            follow(memory, index, GONE)
        (view,) = memory.views(30)
        assert [each.index for each in view.moments] == [0, 3, 4, 29]
        assert view.ages == (3, 2, 1)
        assert [float(pointer[0]) for pointer in view.pointers] == [0, 29, 4, 3, 2, 1]
        assert view.distances == [30, 1, 2, 3, 4, 5]
        follow(memory, 30, GOOD)
        assert frames(memory, 31) == [0, 3, 4, 30]

    def test_a_mask_that_is_worth_nothing_is_forgotten_after_a_frame(self):
        memory = QualityMemory(LIMITS)
        given(memory, 0)
        follow(memory, 1, GOOD)
        follow(memory, 2, proposal([0.005]))
        assert frames(memory, 3) == [0, 1, 2]
        follow(memory, 3, GOOD)
        assert frames(memory, 4) == [0, 1, 3]


class TestMotion:
    """An object moves to the right by half a pixel a frame; from some frame on a mask at the other
    side of the picture has the higher predicted IoU."""

    def memory(self, steady: int) -> MotionMemory:
        memory = MotionMemory(LIMITS)
        given(memory, 0, rectangle(0, 4, 4, 8))
        for index in range(1, steady + 1):
            follow(memory, index, proposal([0.9], masks=[self.at(index)]))
        return memory

    def at(self, index: int) -> np.ndarray:
        return rectangle(index // 2, 4, index // 2 + 4, 8)

    def tempted(self, index: int, other: float) -> tuple:
        return proposal([0.8, other], masks=[self.at(index), rectangle(1, 12, 4, 16)])

    @pytest.mark.parametrize(
        ("steady", "other", "mask"), [(15, 0.9, 0), (15, 0.99, 1), (13, 0.9, 1)]
    )
    def test_a_mask_on_the_way_is_worth_more_after_enough_steady_frames(self, steady, other, mask):
        """0.85 x 0.8 + 0.15 x 0.9 or so = 0.81 lies between 0.85 x 0.9 and 0.85 x 0.99."""
        memory = self.memory(steady)
        assert STABLE_FRAMES == 15
        assert chosen(memory, self.tempted(steady + 1, other)) == [(0, mask)]

    def test_a_frame_not_seen_well_starts_the_count_again(self):
        memory = self.memory(15)
        follow(memory, 16, proposal([0.2], masks=[self.at(16)]))
        follow(memory, 17, proposal([0.9], masks=[self.at(17)]))
        assert chosen(memory, self.tempted(18, 0.9)) == [(0, 1)]

    def test_only_frames_of_some_worth_are_kept(self):
        memory = self.memory(1)
        follow(memory, 2, proposal([0.4], masks=[self.at(2)]))
        assert frames(memory, 3) == [0, 1, 2]
        follow(memory, 3, proposal([0.6], masks=[self.at(3)]))
        follow(memory, 4, proposal([0.9], score=-1.0))
        follow(memory, 5, proposal([0.9], masks=[self.at(5)]))
        assert frames(memory, 6) == [0, 1, 3, 5]

    def test_the_filter_follows_a_steady_box(self):
        box = BoxFilter.started((0, 0, 10, 10))
        assert box.box == (0, 0, 10, 10)
        for step in range(1, 60):
            box = box.predicted().updated((2 * step, step, 10 + 2 * step, 10 + step))
        assert box.predicted().box == pytest.approx((120, 60, 130, 70), abs=0.5)
        lost = box
        for _ in range(5):
            lost = lost.predicted()
        assert lost.covariance[0, 0] > box.covariance[0, 0]
        assert lost.box == pytest.approx((128, 64, 138, 74), abs=1.0)

    def test_boxes(self):
        assert box_of(rectangle(2, 3, 7, 5)) == (2, 3, 7, 5)
        assert box_of(np.zeros((4, 4), bool)) is None
        assert box_iou((0, 0, 4, 4), (2, 0, 6, 4)) == pytest.approx(8 / 24)
        assert box_iou((0, 0, 4, 4), (4, 0, 6, 4)) == box_iou(None, (0, 0, 1, 1)) == 0.0


TWO = [ANYWHERE, ANYWHERE | rectangle(10, 10, 16, 16)]
"""The second mask takes in something else, and more of it: boxes of 4 x 4 and 14 x 14."""


class TestAnchors:
    def test_recent_frames_come_at_a_stride_and_are_not_empty(self):
        memory = AnchorMemory(LIMITS)
        given(memory, 0)
        for index in range(1, 24):
            follow(memory, index, GONE if index in (15, 23) else GOOD)
        (view,) = memory.views(24)
        assert [each.index for each in view.moments] == [0, 10, 20, 23]
        assert view.ages == (3, 2, 1)
        assert view.distances == [24, 1, 2, 3, 4, 5]

    def test_a_frame_that_shows_a_look_alike_becomes_an_anchor(self):
        memory = AnchorMemory(LIMITS)
        given(memory, 0)
        for index in range(1, 8):
            follow(memory, index, proposal([0.9, 0.3], masks=TWO))
        # Frame 6 is the first more than five frames after the given mask.
        (view,) = memory.views(8)
        assert [each.index for each in view.moments] == [0, 6, 5, 7]
        assert view.ages == (2, 1)
        assert view.distances == [8, 2, 1, 3, 4, 5]
        assert [float(pointer[0]) for pointer in view.pointers] == [0, 6, 7, 5, 4, 3]

    def test_the_oldest_of_too_many_gives_way(self):
        memory = AnchorMemory(LIMITS)
        given(memory, 0)
        for index in range(1, 32):
            follow(memory, index, proposal([0.9, 0.3], masks=TWO))
        assert frames(memory, 32)[:5] == [0, 12, 18, 24, 30]

    @pytest.mark.parametrize(
        "unfit",
        [
            proposal([0.8, 0.3], masks=TWO),
            proposal([0.9, 0.3], score=-1.0, masks=TWO),
            proposal([0.9, 0.3], masks=[rectangle(2, 2, 6, 7), TWO[1]]),
            proposal([0.9, 0.3], masks=[ANYWHERE, ANYWHERE]),
        ],
        ids=["not sure", "not there", "of another size", "alone"],
    )
    def test_not_without_every_condition(self, unfit):
        memory = AnchorMemory(LIMITS)
        given(memory, 0)
        for index in range(1, 6):
            follow(memory, index, GOOD)
        follow(memory, 6, unfit)
        assert frames(memory, 8) == [0, 5, 6]
        follow(memory, 7, GOOD)
        follow(memory, 8, proposal([0.9, 0.3], masks=TWO))
        assert frames(memory, 9)[:2] == [0, 8]

    def test_an_area_is_usual_within_a_fifth_of_the_median(self):
        assert is_usual(120, [90, 100, 400])
        assert is_usual(80, [90, 100, 400])
        assert not is_usual(121, [90, 100, 400])
        assert not is_usual(79, [90, 100, 400])
        assert not is_usual(5, [])

    def test_what_shows_another(self):
        near = ANYWHERE | rectangle(6, 2, 7, 6)
        speck = ANYWHERE | rectangle(15, 15, 16, 16)
        assert shows_another(ANYWHERE, rectangle(10, 10, 16, 16))
        assert not shows_another(ANYWHERE, near)
        assert not shows_another(ANYWHERE, speck)  # its largest part is the object
        assert not shows_another(ANYWHERE, np.zeros_like(ANYWHERE))

    def test_reliable_memory_promotes_no_anchor_again(self):
        memory = AnchorMemory(MemoryLimits(4, 6, reliable=2, quality=0.5))
        given(memory, 0)
        for index in range(1, 7):
            follow(memory, index, proposal([0.9, 0.3], masks=TWO))
        follow(memory, 7, GONE)
        assert frames(memory, 8) == [0, 5, 6, 7]


def path(memory: TreeMemory, index: int, *proposals, **options) -> list[float]:
    """What is decided after a frame; answers carry their number as confidence."""
    return [answer.confidence for answer in follow(memory, index, *proposals, **options)]


class TestTree:
    def test_the_best_masks_of_all_hypotheses_go_on(self):
        one, other = proposal([0.9, 0.5, 0.2]), proposal([0.6, 0.85, 0.1])
        scores = [math.log(0.5), math.log(0.6)]
        # 0.45, 0.25, 0.1 and 0.36, 0.51, 0.06
        assert best_choices(scores, [one, other], 3) == [
            MaskChoice(1, 1),
            MaskChoice(0, 0),
            MaskChoice(1, 0),
        ]

    def test_what_is_uncertain_stays_different(self):
        unsure = proposal([0.901, 0.899, 0.3], score=1.5)
        assert best_choices([0.0], [unsure], 2) == [MaskChoice(0, 0), MaskChoice(0, 2)]
        assert best_choices([0.0], [unsure], 3) == [
            MaskChoice(0, 0),
            MaskChoice(0, 2),
            MaskChoice(0, 1),
        ]
        sure = proposal([0.901, 0.899, 0.3], score=2.5)
        assert best_choices([0.0], [sure], 2) == [MaskChoice(0, 0), MaskChoice(0, 1)]
        gone = proposal([0.901, 0.899, 0.3], score=-2.5)
        assert best_choices([0.0], [gone], 2) == [MaskChoice(0, 0), MaskChoice(0, 1)]

    def test_a_mask_that_leads_astray_is_outlived(self):
        """On frame 1 the second mask looks worse; on frame 2 it leads to a better one."""
        memory = TreeMemory(LIMITS, hypotheses=2, lag=5)
        assert len(given(memory, 0)) == 1
        first = proposal([0.9, 0.8])
        assert path(memory, 1, first) == []
        decided = follow(memory, 2, proposal([0.3, 0.2]), proposal([0.9, 0.7]))
        # 0.72 and 0.56 of the second against 0.27 and 0.18 of the first
        assert [np.array_equal(d.logits, first.logits[1].numpy()) for d in decided] == [True]
        assert frames(memory, 3) == frames(memory, 3, view=1) == [0, 1, 2]

    def test_an_answer_waits_no_longer_than_the_lag(self):
        memory = TreeMemory(LIMITS, hypotheses=2, lag=3)
        given(memory, 0)
        follow(memory, 1, proposal([0.9, 0.89]), confidence=0.1)
        counts = [
            len(follow(memory, index, *[proposal([0.9, 0.1])] * 2, confidence=index / 10))
            for index in range(2, 8)
        ]
        assert counts == [0, 0, 1, 1, 1, 1]
        assert [answer.confidence for answer in memory.rest()] == [0.5, 0.6, 0.7]
        assert memory.rest() == []

    def test_a_given_mask_decides_for_the_best(self):
        memory = TreeMemory(LIMITS, hypotheses=2, lag=9)
        given(memory, 0)
        follow(memory, 1, proposal([0.9, 0.8]), confidence=0.3)
        follow(memory, 2, proposal([0.3]), proposal([0.5]), confidence=0.4)
        decided = given(memory, 3)
        assert [answer.confidence for answer in decided] == [0.3, 0.4, 1.0]
        assert len(memory.views(4)) == 1
        assert frames(memory, 4) == [0, 3, 1, 2]

    def test_frames_without_the_object_or_a_mask_are_not_kept(self):
        memory = TreeMemory(LIMITS, hypotheses=2, lag=0)
        given(memory, 0)
        follow(memory, 1, proposal([0.9]))
        follow(memory, 2, GONE)
        follow(memory, 3, proposal([0.1]))
        follow(memory, 4, proposal([0.11]))
        assert frames(memory, 5) == [0, 1, 4]

    def test_a_single_hypothesis_decides_at_once(self):
        memory = TreeMemory(LIMITS, hypotheses=1, lag=9)
        given(memory, 0)
        assert path(memory, 1, proposal([0.2, 0.8]), confidence=0.5) == [0.5]
        follow(memory, 2, GONE)
        assert frames(memory, 3) == [0, 1, 2]


def test_proposals_are_read_as_numbers():
    one = proposal([0.2, 0.7, 0.7])
    assert one.best == 1
    assert one.planes().sum() == 3 * 16
    assert answer_of(one, 1).visible
    assert moment(3).index == 3
