"""A run in numbers."""

import csv
import io

import pytest
from selection_records import record_of

from selection.summary import selection_csv, summarise
from stseg.failures import Failure, FailureKind

FAILURE = Failure("x", "m", FailureKind.ERROR, "no")


def test_candidates_are_counted_and_their_agreement_is_a_mean():
    records = [record_of("a"), record_of("b", candidates=("n", "pseudo-label"))]
    summary = summarise(records, [FAILURE], 2.5)
    assert (summary.videos, summary.chosen) == (2, {"m": 1, "n": 1})
    assert summary.agreement == pytest.approx({"m": 0.9, "n": 0.9, "pseudo-label": 0.9})
    assert summary.truth == {}
    assert summary.json()["failures"] == 1
    assert "J&F" not in summary.table()


def test_the_table_of_videos_has_a_line_each():
    rows = list(csv.DictReader(io.StringIO(selection_csv([record_of("a"), record_of("b,c")]))))
    assert [row["video"] for row in rows] == ["a", "b,c"]
    assert rows[0]["winner"] == "m"
    assert float(rows[0]["agreement:m"]) == pytest.approx(0.9)
