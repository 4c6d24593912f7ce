"""SAM 2's own memory, and recent frames by time and by worth."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from sam2_memories import answer_of, follow, frames, given, moment, proposal

from adapters.sam2.memories import MemoryKind, MemoryLimits
from adapters.sam2.memories.recent import LatestFrames, WorthyFrames
from adapters.sam2.memories.record import MaskChoice, Taken
from adapters.sam2.memories.window import WindowMemory

GOOD, GONE = proposal([0.9]), proposal([0.9], score=-3.0)
KINDS = ("window", "tree", "anchors", "quality", "motion")


def test_holds_the_given_frame_and_the_latest():
    memory = WindowMemory(MemoryLimits(frames=4, pointers=6))
    given(memory, 0)
    for index in range(1, 20):
        follow(memory, index, GOOD)
    (view,) = memory.views(20)
    assert [each.index for each in view.moments] == [0, 17, 18, 19]
    assert view.ages == (3, 2, 1)
    assert view.distances == [20, 1, 2, 3, 4, 5]
    assert [float(pointer[0]) for pointer in view.pointers] == [0, 19, 18, 17, 16, 15]


@pytest.mark.parametrize("reliable", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_no_memory_grows(kind, reliable):
    """Also of an object that is gone for long, and comes back."""
    memory = MemoryKind(kind).make(MemoryLimits(4, 6, reliable, 0.5))
    given(memory, 0)
    seen = []
    for index in range(1, 300):
        views = memory.views(index)
        proposed = [GONE if index % 50 > 30 else GOOD] * len(views)
        taken = []
        for choice in memory.choose(proposed):
            latest, own = moment(index), proposed[choice.proposal]
            taken.append(Taken(latest, answer_of(own, choice.mask, 0.9), own, choice))
            seen.append(weakref.ref(latest.features))
        memory.remember(taken)
    del views, latest, taken
    gc.collect()
    hypotheses = 3 if kind == "tree" else 1
    assert sum(each() is not None for each in seen) <= hypotheses * (4 + 4 + reliable)


def test_promotes_reliable_frames_at_the_first_disappearance_only():
    memory = WindowMemory(MemoryLimits(4, 6, reliable=2, quality=0.6))
    given(memory, 0)
    qualities = {1: 0.9, 2: 0.7, 3: 0.8, 4: 0.6, 5: 0.0, 6: 0.9, 7: 0.0}
    for index, quality in qualities.items():
        follow(memory, index, GONE if index in (5, 7) else GOOD, confidence=quality)
    (view,) = memory.views(8)
    assert [each.index for each in view.moments] == [0, 2, 3, 5, 6, 7]
    assert view.ages == (3, 2, 1)
    assert view.distances == [8, 6, 5, 1, 2, 3, 4]


def test_views_of_one_shape_are_those_of_equal_make_up():
    early, late = (WindowMemory(MemoryLimits(4, 6)) for _ in range(2))
    given(early, 0)
    given(late, 2)
    for index in (1, 2, 3):
        follow(early, index, GOOD)
    follow(late, 3, GOOD)
    assert early.view(4).shape != late.view(4).shape
    for index in range(4, 12):
        follow(early, index, GOOD)
        follow(late, index, GONE)
    assert early.view(12).shape == late.view(12).shape


def test_keeps_the_latest_given_masks():
    memory = WindowMemory(MemoryLimits(frames=4, pointers=5, conditioning=3))
    for index in range(40):
        if index % 5 == 0:
            given(memory, index)
        else:
            follow(memory, index, GOOD)
        (view,) = memory.views(index + 1)
        assert len(view.moments) <= 3 + 3
        assert len(view.pointers) <= 3 + 4
        assert all(0 < age < 4 for age in view.ages)
    assert frames(memory, 40) == [25, 30, 35, 37, 38, 39]


@pytest.mark.parametrize("kind", KINDS)
def test_forgets_what_led_to_an_object_that_is_gone(kind):
    memory = MemoryKind(kind, hypotheses=1).make(MemoryLimits(4, 5))
    given(memory, 0)
    for index in (1, 2):
        follow(memory, index, GOOD)
    given(memory, 3, np.zeros((16, 16), bool))
    assert frames(memory, 4) == [0, 3]


def test_a_fork_goes_its_own_way():
    memory = WindowMemory(MemoryLimits(4, 5))
    given(memory, 0)
    follow(memory, 1, GOOD)
    other = memory.fork()
    follow(memory, 2, GOOD)
    other.remember([Taken(moment(3), answer_of(GOOD), GOOD, MaskChoice(0, 0))])
    assert frames(memory, 4) == [0, 1, 2]
    assert frames(other, 4) == [0, 1, 3]


class TestRecentFrames:
    @for_all(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6), st.booleans())
    def test_worthy_ones_are_ranked(self, worthy: list[bool], count: int, always: bool):
        kept: WorthyFrames[int] = WorthyFrames(count, always)
        for index, good in enumerate(worthy):
            kept = kept.added(index, index, good)
        last = len(worthy) - 1
        expected = [i for i, good in enumerate(worthy) if good or (always and i == last)][-count:]
        assert kept.read(len(worthy)) == list(
            zip(range(len(expected), 0, -1), expected, strict=True)
        )

    @for_all(st.sets(st.integers(0, 30), min_size=1), st.integers(2, 8))
    def test_the_latest_are_aged(self, indices: set[int], window: int):
        kept: LatestFrames[int] = LatestFrames(window)
        for index in sorted(indices):
            kept = kept.added(index, index)
        now = max(indices) + 1
        assert kept.read(now) == [(now - i, i) for i in sorted(indices) if now - i < window]
        assert len(kept.items) <= window - 1

    def test_an_old_frame_may_come_later(self):
        """A given mask that is no longer a conditioning one."""
        assert LatestFrames(9, ((5, "e"),)).added(3, "c").read(6) == [(3, "c"), (1, "e")]
        late = WorthyFrames(3, True, ((2, "b"),), ((5, "e"),)).added(3, "c")
        assert late.read(6) == [(3, "b"), (2, "c"), (1, "e")]
        assert late.without({5, 2}).read(6) == [(1, "c")]
