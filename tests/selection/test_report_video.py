"""What the page of a video says."""

import shlex

import numpy as np
from selection_records import record_of

from selection.evidence import Evidence
from selection.report.stills import Stills
from selection.report.video import most_disputed, numbered, override_commands, strengths, timelines

RECORD = record_of("a b", (1, 2), 3, ("m", "n", "pseudo-label"))


def evidence():
    made = Evidence.blank(
        "v", ("m", "n", "pseudo-label"), np.full(3, 0.5), (1, 2), ("00000", "00001", "00002")
    )
    made.disputed[:] = 0.1, 0.3, 0.2
    return made


def test_ids_are_listed_while_they_are_few():
    assert numbered("object", ["3"]) == "object 3"
    assert numbered("object", ["1", "2", "5"]) == "objects 1, 2 and 5"
    assert numbered("object", [str(n) for n in range(9)]) == "9 objects"


def test_every_other_candidate_has_a_command_for_the_shell(tmp_path):
    commands = [shlex.split(line) for line in override_commands(tmp_path, RECORD)]
    assert [command[-1] for command in commands] == ["n", "pseudo-label"]
    assert all(command[3:5] == [str(tmp_path), "a b"] for command in commands)


def test_the_still_on_which_members_differ_most_is_shown():
    stills = Stills((0, 2), ("00000", "00002"), ("m",), (), 10, 10)
    assert most_disputed(evidence(), stills) == 1
    assert most_disputed(None, stills) == 0


def test_what_is_missing_leaves_its_place_empty():
    assert timelines(None) == []
    assert len(timelines(evidence())) == 2, "one per object"
    assert strengths(record_of("v", (1,), 3, ("m", "pseudo-label"))) == ""
