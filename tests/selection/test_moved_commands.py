"""Commands of this package whose code lies in `study`: the names that users know stay."""

import subprocess
import sys

import pytest

import selection.calibrate
import selection.compare
import selection.figure
import selection.override
import selection.study
import study.calibrate
import study.compare
import study.figure
import study.override
import study.study

PAIRS = {
    selection.calibrate: study.calibrate, selection.compare: study.compare,
    selection.figure: study.figure, selection.override: study.override,
    selection.study: study.study,
}  # fmt: skip


@pytest.mark.parametrize("old", PAIRS, ids=lambda module: module.__name__)
def test_the_command_is_that_of_the_study(old):
    assert old.main is PAIRS[old].main


def test_one_of_them_starts():
    told = subprocess.run(
        [sys.executable, "-m", "selection.compare", "--help"], capture_output=True, text=True
    )
    assert told.returncode == 0
    assert told.stdout.startswith("usage: ")
