"""The command: where it listens, under which names it answers, and what it prints."""

import signal
import subprocess
import sys
import urllib.request

import pytest

from mose import InputError
from selection import review
from study.review.command import host_names, is_loopback, listening, main


def test_names_under_which_it_is_reached():
    assert host_names("127.0.0.1", 80)[0] == "127.0.0.1:80"
    assert "localhost:80" in host_names("127.0.0.1", 80)
    assert host_names("192.0.2.7", 80) == ["192.0.2.7:80"]
    assert host_names("::1", 80)[0] == "[::1]:80"
    assert "127.0.0.1:80" in host_names("0.0.0.0", 80)


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)],
)
def test_who_else_may_reach_it(host, alone):
    assert is_loopback(host) is alone


def test_a_taken_port_is_bad_input_or_the_next_one_is_taken():
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match="choose another --host or --port"):
            listening("127.0.0.1", port)
    with listening("127.0.0.1", None) as one, listening("127.0.0.1", None) as two:
        assert one.getsockname() != two.getsockname()


def test_it_serves_until_it_is_stopped(run):
    command = [sys.executable, "-m", "selection.review", str(run), "--by", "ann", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{address}api/run", timeout=60) as answer:
            assert b'"by":"ann"' in answer.read()
    finally:
        process.send_signal(signal.SIGINT)
        _, trouble = process.communicate(timeout=60)
    assert "warning" not in trouble
    assert "Traceback" not in trouble


def test_the_public_command_is_this_one():
    assert review.main is main
