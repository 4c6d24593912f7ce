"""What all commands share."""

import errno
import os

import pytest

from mose import InputError
from stseg.cli import print_line, run_command
from stseg.errors import LISTED, unknown


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (InputError("no such split"), 2, "error: no such split\n"),
        (OSError(errno.ENOSPC, "No space left", "out.png"), 2, "no space is left on the disk"),
        (PermissionError(errno.EACCES, "Denied", "out"), 2, "out may not be written or read"),
        (OSError(errno.EIO, "I/O error", "disk"), 2, "error: disk: I/O error\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_every_end_has_its_exit_code_and_one_line(outcome, code, message, capsys):
    def command(arguments):
        assert arguments is None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with pytest.raises(SystemExit) as end:
        run_command(command)
    assert end.value.code == code
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == (1 if message else 0)


def test_faults_of_the_program_are_not_hidden():
    def command(arguments):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_command(command)


def test_results_go_to_standard_output(capsys):
    print_line("three words here")
    assert capsys.readouterr() == ("three words here\n", "")


def test_an_unknown_name_gets_the_nearest_and_the_valid_ones():
    error = unknown("split", "trian", ["valid", "train"], " in here")
    assert (
        str(error) == "unknown split 'trian' in here: did you mean 'train'? valid are train, valid"
    )
    assert "did you mean" not in str(unknown("split", "xyz", ["valid"]))
    assert str(unknown("split", "x", [])).endswith("valid are (none)")


def test_a_long_list_of_valid_names_is_cut():
    message = str(unknown("video", "x", [f"video-{n:04d}" for n in range(5000)]))
    assert f"and {5000 - LISTED} more" in message
    assert len(message) < 400


@pytest.mark.parametrize(("before", "within"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_a_command_wait_passively_unless_told_otherwise(monkeypatch, before, within):
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    seen = []
    with pytest.raises(SystemExit):
        run_command(lambda _: seen.append(os.environ["OMP_WAIT_POLICY"]) or 0)
    assert seen == [within]
