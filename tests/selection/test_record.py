"""The selection record: what is written is read back, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selection_records import record_of, write_record

from mose import InputError
from selection.provenance import Provenance
from selection.record import (
    CandidateRow,
    Forecast,
    SelectedTruth,
    SelectionRecord,
    read_record,
    read_records,
)
from selection.spans import spans_between

FIRST_VERSION = {
    "video": "v", "frames": 4, "objects": [3, 7], "fusion": "pgmr", "policy": "agreement",
    "granularity": "segment", "winner": "a", "scores": {"a": 0.8, "b": 0.7}, "margin": 0.1,
    "reason": "agrees best", "plan": {"3": [[0, "a"]], "7": [[0, "a"], [2, "b"]]},
    "absent": {"7": [[1, 3]]},
    "candidates": [
        {"name": "a", "prior": 0.6, "agreement": 0.9, "objects": {"3": 0.9, "7": None},
         "score": 0.8, "confidence": 0.5, "truth": None, "truth_objects": {"3": None, "7": 1.0}},
        {"name": "b", "prior": 0.5, "agreement": None, "objects": {"3": None, "7": None}},
    ],
    "probability": 0.7, "expected": {"J&F": 0.8, "low": 0.7, "high": 0.9},
    "sure": {"3": {"probability": 0.6, "expected": {"J&F": 0.7, "low": 0.6, "high": 0.8}}},
    "calibration": "mine", "oracle": "a", "selected_truth_objects": {"3": None, "7": 1.0},
    "disputed": 0.1, "missing_members": ["c"], "key": "k", "reduced_members": {"a": "smaller"},
    "height": 48, "width": 64, "seconds": 1.5, "cycle": {"a": {"3": 0.5}}, "overridden": True,
}  # fmt: skip
"""As releases before the versions wrote it, with every key that there was."""

scores = st.none() | st.floats(0, 1)
by_object = st.dictionaries(st.integers(1, 254), scores, min_size=1)
names = st.sampled_from(("a", "b", "pseudo-label"))
rows = st.builds(
    CandidateRow, names, st.floats(0, 1), scores, by_object, score=scores, confidence=scores
) | st.builds(
    CandidateRow, names, st.floats(0, 1), scores, by_object, truth=scores, truth_by_object=by_object
)
forecasts = st.builds(Forecast, *[st.floats(0, 1)] * 4)


@given(
    rows=st.lists(rows).map(tuple),
    forecast=forecasts,
    truth=st.none() | st.builds(SelectedTruth, names, by_object),
    provenance=st.builds(
        Provenance,
        st.text("abc"),
        *[st.none() | st.integers(1, 9)] * 2,
        notes=st.dictionaries(names, st.lists(st.text(), min_size=1).map(tuple)),
        categories=st.dictionaries(st.integers(1, 254), st.text()),
    ),
    cut=st.integers(1, 2),
    overridden=st.booleans(),
)
def test_what_is_written_is_read_back(rows, forecast, truth, provenance, cut, overridden):
    record = replace(
        record_of("v"), candidates=rows, truth=truth, provenance=provenance,
        plan={5: spans_between([(0, "a"), (cut, "b")], 3)}, absent={5: ((1, 2),)},
        forecast=forecast, forecast_by_object={5: forecast}, calibration="mine",
        cycle={"a": {5: 0.5}}, overridden=overridden,
    )  # fmt: skip
    stored = json.loads(json.dumps(record.json()))
    assert SelectionRecord.parse(stored, "v.json") == record


def test_the_first_version_is_read_and_keeps_every_key():
    record = SelectionRecord.parse(FIRST_VERSION, "v.json")
    assert record.plan[7] == ((0, 2, "a"), (2, 4, "b"))
    assert record.candidates[0].truth_by_object == {3: None, 7: 1.0}
    assert record.provenance.reduced_members == {"a": "smaller"}
    assert record.provenance.notes == {}
    assert record.json() == {"version": 2, **FIRST_VERSION}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"winer": "a"}, "has unknown keys: winer"),
        ({"version": 9}, "has version 9"),
        ({"frames": "many"}, "is damaged"),
        ({"plan": {"3": [0, "a"]}}, "is damaged"),
        ({"candidates": [{"name": "a"}]}, "lacks agreement, objects, prior"),
        ({"candidates": ["a"]}, "is damaged"),
        ({"expected": {"low": 0.5}}, "is damaged"),
    ],
)
def test_what_is_no_record_is_refused_in_one_sentence(change, words):
    with pytest.raises(InputError, match=r"some\.json") as error:
        SelectionRecord.parse({**FIRST_VERSION, **change}, "some.json")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_keys_are_named(tmp_path):
    stored = {key: value for key, value in FIRST_VERSION.items() if key not in ("plan", "winner")}
    (tmp_path / "v.json").write_text(json.dumps(stored))
    with pytest.raises(InputError, match=r"v\.json lacks plan, winner: run the video again"):
        read_record(tmp_path / "v.json")


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(InputError, match=r"v\.json .*run the video again"):
        read_record(tmp_path / "v.json")


def test_all_records_of_a_run(tmp_path):
    for name in ("b", "a"):
        write_record(tmp_path, record_of(name))
    assert [record.video for record in read_records(tmp_path)] == ["a", "b"]
    assert read_records(tmp_path / "nothing") == []
