"""What all commands share."""

import errno
import io

import pytest

from mose import InputError
from stseg.cli import Progress, progress, run_command, say
from stseg.errors import LISTED, unknown


class Terminal(io.StringIO):
    def isatty(self):
        return True


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
    say("three words here")
    assert capsys.readouterr() == ("three words here\n", "")


def test_progress_passes_items_on_and_ends_with_a_count(capsys):
    assert list(progress("abc", 3, "letters")) == ["a", "b", "c"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("letters 3/3 in ")


def test_progress_renews_one_line_on_a_terminal(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr("stseg.cli.time.monotonic", lambda: float(next(now)))
    stream = Terminal()
    bar = Progress(4, "frames", stream)
    bar.advance()
    bar.advance(2, note="cat")
    bar.close()
    shown = stream.getvalue().split("\r\x1b[2K")
    assert shown[1] == "frames 1/4, 1 s, 3 s to go"
    assert shown[2] == "frames 3/4, 2 s, 1 s to go  cat"
    assert shown[3] == "frames 3/4 in 3.0 s\n"


def test_progress_is_sparing_elsewhere(monkeypatch):
    now = iter([0.0, 1.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr("stseg.cli.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    bar = Progress(3, "frames", stream)
    for _ in range(3):
        bar.advance()
    bar.close()
    assert stream.getvalue() == "frames 2/3, 11 s, 6 s to go\nframes 3/3 in 13.0 s\n"


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
