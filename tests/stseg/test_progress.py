"""How far a command is."""

import io
import re

import pytest

from stseg.progress import Progress, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test says so."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def test_items_are_passed_on_and_counted_at_the_end(capsys):
    assert list(progress("abc", 3, "letters")) == ["a", "b", "c"]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("letters 3/3 in ")
    assert said.err.count("\n") == 1


def test_one_line_is_renewed_on_a_terminal(clock):
    stream = Terminal()
    bar = Progress(4, "frames", stream)
    clock.now += 1
    bar.advance()
    clock.now += 1
    bar.advance(2, note="cat")
    clock.now += 1
    bar.close()
    assert bar.done == 3
    shown = [re.sub(" +(?=\n|$)", "", line) for line in stream.getvalue().split("\r")]
    assert shown == [
        "",
        "frames 0/4, 00:00, ? to go",
        "frames 1/4, 00:01, 00:03 to go",
        "frames 3/4, 00:02, 00:00 to go, cat",
        "frames 3/4 in 3.0 s\n",
    ]


def test_lines_are_sparing_elsewhere(clock):
    stream = io.StringIO()
    bar = Progress(3, "frames", stream)
    for seconds in (1, 10, 1):
        clock.now += seconds
        bar.advance()
    bar.close("all whole")
    assert stream.getvalue() == (
        "frames 2/3, 00:11, 00:05 to go\nframes 3/3 in 12.0 s, all whole\n"
    )


def test_nothing_to_do_is_said_too(clock):
    stream = io.StringIO()
    Progress(0, "frames", stream).close()
    assert stream.getvalue() == "frames 0/0 in 0.0 s\n"


def test_a_line_that_an_error_left_open_does_not_move_the_next(clock):
    left_open = Progress(2, "first", io.StringIO())
    stream = io.StringIO()
    bar = Progress(1, "second", stream)
    bar.advance()
    bar.close()
    assert stream.getvalue() == "second 1/1 in 0.0 s\n"
    left_open.close()
