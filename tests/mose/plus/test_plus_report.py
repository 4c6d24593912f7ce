"""The table and the page of a MOSE+."""

import numpy as np
import pytest

from mose import InputError
from mose.plus.measures import MEASURED
from mose.plus.report import histogram, parts, read_clips, table, write_report


def row(source, kept, value):
    return {"source": source, "kept": kept, "frames": "9", "objects": "2",
            **dict.fromkeys(MEASURED, str(value))}  # fmt: skip


ROWS = [row("davis", "1", 1.0), row("mose", "1", 2.0), row("mose", "0", 9.0)]


def test_parts_are_what_was_kept_with_mose_first():
    assert {source: len(rows) for source, rows in parts(ROWS).items()} == {"mose": 1, "davis": 1}
    assert list(parts(ROWS)) == ["mose", "davis"]


def test_the_table_counts_and_takes_medians():
    head, mose, davis = (line.split() for line in table(ROWS).splitlines())
    assert head[:4] == ["source", "seen", "kept", "frames"]
    assert mose[:6] == ["mose", "2", "1", "9", "2", "2.000"]
    assert davis[:6] == ["davis", "1", "1", "9", "2", "1.000"]


def test_a_histogram_has_a_bar_for_each_bin_that_holds_something():
    picture = histogram([0.1, 0.1, 0.9], np.linspace(0, 1, 11))
    assert picture.count("<rect") == 2


def test_a_page_needs_clips(tmp_path):
    with pytest.raises(InputError, match="is no MOSE"):
        read_clips(tmp_path)
    (tmp_path / "clips.csv").write_text("source,kept\n")
    with pytest.raises(InputError, match="has no clips"):
        write_report(tmp_path)
