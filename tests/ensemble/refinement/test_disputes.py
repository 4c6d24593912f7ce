"""Where members dispute an object: from where each of them has it, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from ensemble.refinement.disputes import find_disputes, to_correct
from ensemble.refinement.survey import Survey


def survey(*places: str, quality: float | tuple[float, ...] = 0.7, fixed: tuple[int, ...] = (0,)):
    """Members a, b, ... of which each line says where it has object 5: a letter is a place, and a
    full stop is nowhere."""
    at = np.array([[ord(c) if c != "." else 0 for c in line] for line in places]).T
    frames, members = at.shape
    areas = (at > 0).astype(np.float32)[:, :, None] * 100
    expected = np.array(np.broadcast_to(np.asarray(quality, np.float32), (frames, members)))
    overlaps = (at[:, :, None] == at[:, None, :]).astype(np.float32)[:, None]
    given = np.isin(np.arange(frames), fixed)[:, None]
    areas[0] = expected[0] = np.nan
    names = tuple("abcdefgh"[:members])
    priors = np.broadcast_to(np.asarray(quality, float), members)
    return Survey(names, (5,), priors, areas, expected[:, :, None], overlaps, given)


def disputes(found: Survey, clusters: str | None = None):
    groups = clusters or found.members
    return find_disputes(found, {m: ord(g) for m, g in zip(found.members, groups, strict=True)})


def test_members_that_agree_dispute_nothing():
    assert disputes(survey("AAAAAA", "AAAAAA", "AAAAAA")) == []
    assert disputes(survey("AA..AA", "AA..AA", "AA..AA")) == []


def test_a_dispute_has_a_claim_for_every_place():
    (one,) = disputes(survey("AAABBB", "AAAAAA", "AAAAAA", "AAA..."))
    assert (one.object_id, one.start, one.stop, one.frame, one.sure) == (5, 3, 6, 4, 2)
    told = [(part.members, part.seen, part.share) for part in one.claims]
    assert told[0] == (("b", "c"), True, 0.5)
    assert sorted(told[1:]) == [(("a",), True, 0.25), (("d",), False, 0.25)]


def test_the_last_frame_on_which_most_saw_the_object_together_is_sure():
    (one,) = disputes(survey("AA...BB", "AA.....", "AA....."))
    assert (one.start, one.sure) == (5, 1)


def test_a_dispute_ends_where_most_are_no_longer_together():
    """What is lost later is a question of its own."""
    first, second = sorted(
        disputes(survey("AAAAA....", "AAAAA....", "AAAAABBBB", "AAACCCCCC")),
        key=lambda dispute: dispute.start,
    )
    assert (first.start, first.stop, first.sure) == (3, 5, 2)
    assert (second.start, second.stop, second.sure) == (5, 9, 4)


def test_a_moment_is_no_dispute():
    assert disputes(survey("AAABAA", "AAAAAA", "AAAAAA")) == []


def test_one_that_has_no_say_disputes_nothing():
    assert disputes(survey("AAABBB", "AAAAAA", "AAAAAA", quality=(0.1, 0.8, 0.8))) == []


def test_members_of_one_model_have_the_say_of_one():
    (one,) = disputes(survey("AAABBB", "AAABBB", "AAAAAA"), clusters="xxy")
    assert [part.share for part in one.claims] == pytest.approx([0.5, 0.5])


def test_the_most_valuable_comes_first():
    gains = [d.gain for d in disputes(survey("AABBAACCCC", "AAAAAAAAAA", "AAAAAAAAAA"))]
    assert gains == sorted(gains, reverse=True)
    assert len(gains) == 2


def led_back(dispute, **back):
    return dispute.led_back([(back.get("".join(h.members)), 0.0) for h in dispute.claims])


def test_few_are_corrected_the_weightiest_first():
    found = survey("AAA...", "AAA...", "AAA...", "AAAAAA", quality=(0.5, 0.7, 0.6, 0.65))
    (one,) = disputes(found)
    assert to_correct(one, found, found.members) == ()
    settled = led_back(one, d=0.8)
    assert settled.overruled
    assert to_correct(settled, found, found.members) == ("b",)
    assert to_correct(settled, found, ("a", "c")) == ("c", "a")


def test_nobody_is_corrected_where_the_largest_share_is_right():
    found = survey("AAABBB", "AAAAAA", "AAAAAA")
    (one,) = disputes(found)
    assert to_correct(led_back(one, a=0.5, bc=0.8), found, found.members) == ()


def test_surveys_are_stored(tmp_path):
    found = survey("AAABBB", "AAAAAA", "AAAAAA")
    found.save(tmp_path / "x" / "s.npz")
    again = Survey.load(tmp_path / "x" / "s.npz")
    assert again.members == found.members
    assert disputes(again) == disputes(found) != []
