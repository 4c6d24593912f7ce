"""The correction by hand that is suggested, from evidence that is made up."""

from __future__ import annotations

import numpy as np
import pytest

from selection.evidence import Evidence
from selection.refined import Suggestion
from selection.suggestion import suggest

FRAMES = 12


def evidence(objects=(3, 9), priors=(0.7, 0.7, 0.7)) -> Evidence:
    """Two members and the pseudo-label, who agree of everything."""
    names = tuple(f"{t:05d}" for t in range(FRAMES))
    made = Evidence.blank("v", ("a", "b", "pseudo-label"), np.array(priors), objects, names)
    for plane, value in (("agreement_j", 1), ("weight", 1), ("area", 50)):
        made[plane][1:] = value
    return made


def test_nothing_is_suggested_where_nobody_doubts():
    assert suggest(evidence()) is None


def test_the_beginning_of_the_longest_doubt_is_suggested():
    made = evidence()
    made["agreement_j"][3:5, 0, 0] = 0.2
    made["agreement_j"][6:12, 0, 1] = 0.3
    said = suggest(made)
    assert said is not None
    assert (said.frame, said.name, said.object_id) == (6, "00006", 9)
    assert 0 < said.gain < 6 * 0.7 / (2 * FRAMES)


def test_a_member_of_a_good_prior_raises_more_doubt():
    made = evidence((3, 9), (0.9, 0.5, 0.9))
    made["agreement_j"][4:8, 0, 0] = 0.5
    made["agreement_j"][4:8, 1, 1] = 0.1
    said = suggest(made)
    assert said is not None
    assert said.object_id == 3


def test_who_lost_its_say_in_the_video_still_raises_doubt():
    made = evidence((3,))
    made["agreement_j"][5:9, 0, 0] = 0.0
    made["weight"][5:9, 0, 0] = 0.01
    said = suggest(made)
    assert said is not None
    assert said.frame == 5


def test_an_object_that_nobody_sees_cannot_be_corrected():
    made = evidence((3,))
    made["agreement_j"][4:, 0, 0] = 0.0
    made["area"][4:7] = 0
    said = suggest(made)
    assert said is not None
    assert said.frame == 7


@pytest.mark.parametrize("objects", [(), (3,)])
def test_a_video_of_one_frame(objects):
    made = Evidence.blank("v", ("a", "pseudo-label"), np.full(2, 0.7), objects, ("00000",))
    assert suggest(made) is None


def test_what_a_record_says_of_it_is_read_back():
    said = Suggestion(6, "00006", 9, 0.12)
    assert Suggestion.parse(said.json()) == said
