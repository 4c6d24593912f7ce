"""The work list: an order by what looking can gain, and few to look at first."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from selection_records import record_of
from small_runs import make_video

from mose import InputError
from mose.dataset import open_dataset
from selection.refined import Suggestion
from selection.report.facts import VideoFacts
from selection.report.first_looks import first_few, first_looks, in_order
from study.review.facts import percent, titles
from study.review.pictures import numbers
from study.review.work_list import WorkRow

GAINS = st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.3]), min_size=1, max_size=80)


def rows_of(gains):
    return [
        WorkRow.of(
            record_of(f"v{n:02d}", suggestion=Suggestion(2, "00002", 5, gain) if gain else None)
        )
        for n, gain in enumerate(gains)
    ]


@given(GAINS)
def test_those_first_where_looking_can_gain_most(gains):
    rows = rows_of(gains)
    ordered, few = in_order(rows), first_few(rows)
    assert [row.gain for row in ordered] == sorted(gains, reverse=True)
    assert len(few) <= min(10, max(len(rows) // 5, 1))
    assert few == ordered[: len(few)]


@given(GAINS)
def test_the_report_that_stands_alone_lists_the_same(gains):
    rows = rows_of(gains)
    hints = [Suggestion(row.frame, "00002", 5, row.gain) if row.gain else None for row in rows]
    records = [record_of(row.video, suggestion=h) for row, h in zip(rows, hints, strict=True)]
    looks = first_looks([VideoFacts(record, (), 0, (), None, None) for record in records])
    assert [(look.video, look.gain) for look in looks] == [
        (row.video, row.gain) for row in first_few(rows)
    ]


def test_a_row_names_the_frame_to_open():
    [row] = rows_of([0.1])
    assert (row.frame, row.object_id, row.page) == (2, 5, "v00")
    [row] = rows_of([0])
    assert (row.frame, row.object_id) == (0, None)


def test_objects_have_names_where_the_data_set_has_categories(tmp_path):
    make_video(tmp_path, "a", 2)
    meta = {"videos": {"a": {"objects": {"3": {"category": "<i>duck"}, "5": {}}}}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    dataset = open_dataset(tmp_path)
    names = titles(dataset, "a", (3, 5, 9))
    assert names == {3: "object 3 (<i>duck)", 5: "object 5", 9: "object 9"}


def test_small_helpers():
    assert percent(np.array([0.5, np.nan, 1.0])) == [50, -1, 100]
    assert numbers("0,12") == [0, 12]
    with pytest.raises(InputError):
        numbers("1,,2")
