"""What a selection is worth by labels: how it loses objects."""

from __future__ import annotations

import numpy as np
import pytest
from selection_records import record_of

from selection.evidence import Evidence
from selection.outcome import failure_shares
from selection.reasons import Ground, Reason
from selection.record import SelectedTruth, SelectionRecord
from selection.selectors import Choice
from selection.spans import whole
from selection.summary import summarise

FRAMES = 16


def evidence() -> Evidence:
    """One object, there on the first five labelled frames: met twice, silent once, adrift twice."""
    stems = tuple(f"{n:05d}" for n in range(FRAMES))
    found = Evidence.blank("v", ("m", "pseudo-label"), np.full(2, 0.5), (4,), stems)
    found.true_area[1:, 0] = 0
    found.true_area[1:6, 0] = 50
    found["area"][:, 0, 0] = 0
    found["area"][[1, 2, 4, 5, 9], 0, 0] = 40
    found["truth_j"][1:, 0, 0] = 1
    found["truth_j"][1:6, 0, 0] = 0.8, 0.7, 0, 0, 0
    found["truth_j"][9, 0, 0] = 0
    return found


def choice(**more) -> Choice:
    return Choice("m", {"m": 1.0}, 0.0, Reason(Ground.SCORE), {4: whole("m", FRAMES)}, **more)


def test_an_object_is_lost_in_silence_or_in_drift():
    shares = failure_shares(evidence(), choice())[4]
    assert shares == pytest.approx({"NRE": 1 / 5, "DRE": 2 / 5, "ADQ": None})
    more = evidence()
    more.true_area[4:6, 0] = 0  # now it is away on more than ten frames
    more["truth_j"][4:6, 0, 0] = 0
    assert failure_shares(more, choice())[4]["ADQ"] == pytest.approx(9 / 12)


def test_where_the_members_agree_that_it_is_away_nothing_is_selected():
    shares = failure_shares(evidence(), choice(absent={4: ((4, 6),)}))[4]
    assert shares == pytest.approx({"NRE": 3 / 5, "DRE": 0, "ADQ": None})


def test_a_run_says_how_its_masks_lose_objects():
    lost = {"NRE": 0.2, "DRE": 0.4, "ADQ": None}
    record = record_of("v", (4,), FRAMES)
    object.__setattr__(record, "truth", SelectedTruth("m", {4: 0.5}, {4: lost}))
    back = SelectionRecord.parse(record.json(), "x")
    assert back.truth == record.truth
    summary = summarise([back], [], 1.0)
    assert summary.json()["lost"] == {"NRE": 0.2, "DRE": 0.4}
    assert summary.table().splitlines()[-1] == "lost by the selected masks: NRE 20.0, DRE 40.0"
