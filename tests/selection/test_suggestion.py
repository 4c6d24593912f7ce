"""The correction by hand that is suggested, from evidence that is made up."""

from __future__ import annotations

import numpy as np
import pytest

from selection.evidence import Evidence
from selection.refined import Suggestion
from selection.spans import spans_between, whole
from selection.suggestion import suggest

FRAMES = 12


def evidence(objects=(3, 9)) -> Evidence:
    """Two members and the pseudo-label, who agree of everything."""
    names = tuple(f"{t:05d}" for t in range(FRAMES))
    made = Evidence.blank("v", ("a", "b", "pseudo-label"), np.full(3, 0.7), objects, names)
    for plane, value in (("support", 1), ("agreement_j", 1), ("weight", 1), ("area", 50)):
        made[plane][1:] = value
    return made


def plan(made: Evidence, candidate: str = "a"):
    return {n: whole(candidate, FRAMES) for n in made.object_ids}


def test_nothing_is_suggested_where_nobody_doubts():
    made = evidence()
    assert suggest(made, plan(made)) is None


def test_the_beginning_of_the_longest_doubt_is_suggested():
    made = evidence()
    made["support"][3:5, 0, 0] = 0.2
    made["support"][6:12, 0, 1] = 0.3
    said = suggest(made, plan(made))
    assert said is not None
    assert (said.frame, said.name, said.object_id) == (6, "00006", 9)
    assert 0 < said.gain < 6 * 0.7 / (2 * FRAMES)


def test_doubts_of_candidates_that_were_not_selected_do_not_count():
    made = evidence()
    made["support"][3:, 1] = 0.2
    assert suggest(made, plan(made)) is None
    mixed = {n: spans_between([(0, "a"), (8, "b")], FRAMES) for n in made.object_ids}
    said = suggest(made, mixed)
    assert said is not None
    assert said.frame == 8


def test_an_object_that_nobody_sees_cannot_be_corrected():
    made = evidence((3,))
    made["support"][4:, 0, 0] = 0.0
    made["area"][4:7] = 0
    said = suggest(made, plan(made))
    assert said is not None
    assert said.frame == 7


def test_what_a_record_says_of_it_is_read_back():
    said = Suggestion(6, "00006", 9, 0.12)
    assert Suggestion.parse(said.json()) == said


@pytest.mark.parametrize("objects", [(), (3,)])
def test_a_video_of_one_frame(objects):
    made = Evidence.blank("v", ("a", "pseudo-label"), np.full(2, 0.7), objects, ("00000",))
    assert suggest(made, {n: whole("a", 1) for n in objects}) is None
