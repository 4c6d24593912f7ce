"""Claims about where an object is, and which of them is taken."""

from __future__ import annotations

from dataclasses import replace

from selection.refined import Claim, Dispute


def dispute(*told: Claim) -> Dispute:
    return Dispute(5, 4, 9, 5, 2, told)


def test_the_larger_share_is_taken_as_long_as_nothing_was_followed_back():
    asked = dispute(Claim(("a",), True, 0.6), Claim(("b", "c"), True, 0.4))
    assert asked.taken.members == ("a",)
    assert not asked.overruled
    assert asked.gain == 5 * 0.4


def test_a_mask_that_leads_back_overrules_a_larger_share_that_does_not():
    asked = dispute(Claim(("a",), True, 0.6), Claim(("b", "c"), True, 0.4))
    assert asked.led_back(((0.1, 0.0), (0.7, 0.0))).taken.members == ("b", "c")
    assert asked.led_back(((0.1, 0.0), (0.7, 0.0))).overruled
    assert not asked.led_back(((0.7, 0.0), (0.7, 0.0))).overruled


def test_an_object_to_which_nothing_leads_back_is_absent():
    asked = dispute(Claim(("a",), True, 0.6), Claim(("b", "c"), False, 0.4))
    assert asked.led_back(((0.0, 0.0), (None, 0.0))).taken.members == ("b", "c")
    assert asked.led_back(((0.5, 0.0), (None, 0.0))).taken.members == ("a",)


def test_a_mask_that_stands_where_the_object_was_overrules_nobody():
    """What hides an object leads back to where the object was."""
    asked = dispute(Claim(("a",), False, 0.5), Claim(("b", "c"), True, 0.45))
    assert asked.led_back(((None, 0.0), (0.7, 0.1))).overruled
    assert not asked.led_back(((None, 0.0), (0.7, 0.6))).overruled


def test_a_mask_that_hardly_leads_back_overrules_nobody():
    asked = dispute(Claim(("a", "b"), False, 0.94), Claim(("c",), True, 0.06))
    assert asked.led_back(((None, 0.0), (0.6, 0.0))).overruled
    assert not asked.led_back(((None, 0.0), (0.45, 0.0))).overruled


def test_a_dispute_is_repeated_until_somebody_was_corrected():
    told = Claim(("a",), True, 0.6), Claim(("b", "c"), True, 0.4)
    first, again = dispute(*told), replace(dispute(*told), start=6, frame=7, round=2)
    assert again.repeats(first)
    assert not again.repeats(replace(first, corrected=("b",)))
    assert first.repeats(replace(first, corrected=("b",)))
    assert not replace(again, start=9, stop=12).repeats(first)
    assert not replace(again, object_id=6).repeats(first)
    assert not again.repeats(replace(first, claims=told[::-1][:1]))


def test_few_that_see_nothing_do_not_overrule_nearly_all():
    asked = dispute(Claim(("a", "b"), True, 0.92), Claim(("c",), False, 0.08))
    assert not asked.led_back(((0.0, 0.0), (None, 0.0))).overruled


def test_what_a_record_says_of_it_is_read_back():
    asked = dispute(Claim(("a",), True, 0.6), Claim(("b", "c"), False, 0.4))
    for one in (asked, asked.led_back(((0.25, 0.1), (None, 0.0)))):
        assert Dispute.parse(one.json()) == one
