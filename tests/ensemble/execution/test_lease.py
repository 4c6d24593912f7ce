"""One driver per run: a second one is refused, a dead one's lease taken over, its late writes
fenced."""

import json
import os
import subprocess
import sys
import time

import pytest

from ensemble.execution.lease import LEASE, Fenced, check, held
from mose import InputError

HOLD = """
import sys
from ensemble.execution.lease import held
with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_second_driver_is_refused_in_one_sentence(tmp_path, other):
    with pytest.raises(InputError, match=f"process {other.pid}") as error, held(tmp_path):
        pass
    assert "\n" not in str(error.value)


def test_dead_drivers_lease_is_taken_over_and_its_worker_fenced(tmp_path, other):
    old = json.loads((tmp_path / LEASE).read_text())["token"]
    check(tmp_path, old)
    other.kill()
    other.wait()
    with held(tmp_path) as token:
        check(tmp_path, token)
        with pytest.raises(Fenced):
            check(tmp_path, old)
    assert not (tmp_path / LEASE).exists()


def test_number_of_a_dead_process_that_another_one_got(tmp_path):
    lease = {"host": os.uname().nodename, "pid": os.getpid(), "started": "1", "token": "x"}
    (tmp_path / LEASE).write_text(json.dumps(lease))
    with held(tmp_path) as token:
        assert token != "x"


def test_lease_of_another_host_counts_while_it_is_renewed(tmp_path):
    lease = {"host": "elsewhere", "pid": 1, "started": "", "token": "x"}
    (tmp_path / LEASE).write_text(json.dumps(lease))
    with pytest.raises(InputError, match="elsewhere"), held(tmp_path):
        pass
    past = time.time() - 3600
    os.utime(tmp_path / LEASE, (past, past))
    with held(tmp_path) as token:
        assert token != "x"


def test_lease_is_given_back_when_the_run_fails(tmp_path):
    with pytest.raises(RuntimeError), held(tmp_path):
        raise RuntimeError
    with held(tmp_path):
        pass
    with pytest.raises(Fenced):
        check(tmp_path, "any")
