"""Sentences about bad input stay on one line, whatever a name in them holds."""

import pickle

import pytest

from mose.findings import Finding, Report
from stseg.cli import fail
from stseg.errors import InputError, one_line, unknown
from stseg.failures import Failure, FailureKind

NAME = "a\nb\r\x1b[2J\x85\u2028c"
SHOWN = r"a\nb\r\x1b[2J\x85\u2028c"


def test_control_characters_are_written_out():
    assert one_line(NAME) == SHOWN
    assert one_line(SHOWN) == SHOWN
    assert one_line("caf\xe9 \U0001f415 [1]") == "caf\xe9 \U0001f415 [1]"


def test_errors_findings_and_failures(capsys):
    error = InputError(f"video {NAME} has no frames")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == f"video {SHOWN} has no frames"
    assert SHOWN in str(unknown("video", NAME, ["b"]))
    finding = Finding("video", f"video {NAME} cannot be used", NAME)
    assert (finding.sentence, finding.video) == (f"video {SHOWN} cannot be used", NAME)
    assert SHOWN in Failure(NAME, None, FailureKind.INPUT, "no frames").sentence()
    fail(f"{NAME}: no such file")
    assert capsys.readouterr().err == f"error: {SHOWN}: no such file\n"


@pytest.mark.parametrize(("videos", "words"), [(1, "1 video of"), (2_000, "2,000 videos of")])
def test_a_report_counts_in_words_and_stays_on_its_lines(videos, words):
    head, *_ = Report(f"data set {NAME}", videos, ()).table()
    assert head == f"checked {words} data set {SHOWN}"
