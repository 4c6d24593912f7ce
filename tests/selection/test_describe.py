"""From a selection to its record."""

import numpy as np
from test_selectors import evidence, options

from selection.describe import SelectionSetup, describe
from selection.provenance import Provenance
from selection.selectors import select


def record_of(**changes):
    table = evidence(np.broadcast_to([[[0.9], [0.6]]], (4, 2, 1)))
    table.disputed[:] = 0.25
    for plane, value in changes.items():
        table[plane][:] = value
    chosen = options()
    return describe(SelectionSetup("vote", chosen), table, select(table, chosen), Provenance("k"))


def test_a_record_says_what_was_chosen_from_what():
    record = record_of()
    assert (record.video, record.frames, record.objects) == ("v", 4, (1,))
    assert (record.fusion, record.policy, record.winner) == ("vote", "agreement", "m0")
    assert [row.name for row in record.candidates] == ["m0", "m1", "pseudo-label"]
    assert [row.agreement for row in record.candidates] == [0.9, 0.6, 1.0]
    assert record.disputed == 0.25
    assert record.provenance.key == "k"
    assert record.reason


def test_without_labels_and_calibration_nothing_is_said_of_either():
    record = record_of()
    assert record.truth is None
    assert record.forecast is None
    assert record.calibration is None


def test_with_labels_the_oracle_is_named():
    record = record_of(truth_j=0.5, truth_f=0.7)
    assert record.truth.by_object == {1: 0.6}
    assert record.truth.oracle in ("m0", "m1", "pseudo-label")
