"""What a refinement may cost, and what goes first."""

from __future__ import annotations

import pytest

from ensemble.refinement.spending import VideoSize, choose_corrections, choose_disputes
from selection.refined import Claim, Dispute

SIZE = VideoSize(frames=20, objects=2, units=40.0)


def dispute(frames: int, share: float = 0.6, start: int = 5, corrected=()) -> Dispute:
    told = Claim(("a",), True, share), Claim(("b",), False, 1 - share)
    return Dispute(3, start, start + frames, start + 1, start - 1, told, tuple(corrected))


def test_looking_costs_the_frames_of_every_mask_that_is_followed():
    """Three frames of one object, of the two that the units are for."""
    assert SIZE.looking(dispute(4)) == pytest.approx(3)


def test_correcting_costs_the_rest_of_the_video():
    assert SIZE.correcting(dispute(4, start=10)) == pytest.approx(40 * 12 / 20)
    assert SIZE.correcting(dispute(4, start=1)) == 40


def test_the_most_valuable_of_all_videos_come_first():
    found = {"v": [dispute(2), dispute(9, start=9)], "w": [dispute(6)]}
    sizes = dict.fromkeys(found, SIZE)
    chosen = choose_disputes(found, sizes, 6)
    assert {video: len(told) for video, told in chosen.disputes.items()} == {"v": 1, "w": 1}
    assert chosen.disputes["v"][0].start == 9
    assert chosen.cost == pytest.approx(6)
    assert choose_disputes(found, sizes, 0).disputes == {}


def test_only_disputes_with_members_to_correct_cost_anything():
    found = {"v": [dispute(2), dispute(9, start=9, corrected="a")]}
    chosen = choose_corrections(found, {"v": SIZE}, 100)
    assert [told.corrected for told in chosen.disputes["v"]] == [("a",)]
    assert chosen.cost == pytest.approx(40 * 13 / 20)
    assert choose_corrections(found, {"v": SIZE}, 20).disputes == {}
