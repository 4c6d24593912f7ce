"""A real head with its job server, and runs that are submitted to it: ``make cluster``.

Needs the extra ``cluster`` (ray[default]).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from small_runs import make_video

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[3]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def free_port() -> int:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5.0).close()
        return True
    return False


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of every process here: a home and a token of its own, no other Ray."""
    home = tmp_path_factory.mktemp("h")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return inherited | {
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@pytest.fixture
def job_server(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of the job server of a head of two cores."""
    folder = tmp_path_factory.mktemp("r")  # short, for Ray's sockets lie in it
    port, dashboard = free_port(), free_port()
    options = {
        "port": port,
        "dashboard-port": dashboard,
        "dashboard-agent-listen-port": free_port(),
        "num-cpus": 2,
        "object-store-memory": 200 << 20,
        "temp-dir": folder,
    }
    command = [*RAY, "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with open(folder / "head.log", "wb") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        while not answers(dashboard):
            assert head.poll() is None, (folder / "head.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        processes = [*psutil.Process(head.pid).children(recursive=True)]
        head.terminate()
        head.wait()
        _, alive = psutil.wait_procs(processes, timeout=60)
        for process in alive:
            process.kill()


def test_a_run_is_submitted_from_another_folder(job_server, environment, tmp_path):
    for name in ("a", "b"):
        make_video(tmp_path / "the data", name, 5)
    (tmp_path / "elsewhere").mkdir()
    run = [
        *(sys.executable, "-m", "ensemble.run", "--config", "floor", "--address", "auto"),
        *("--dataset", tmp_path / "the data", "--split", "test", "--labels", "Labels"),
        *("--output", tmp_path / "run"),
    ]
    done = subprocess.run(
        [*RAY, "job", "submit", "--address", job_server, "--", *map(str, run)],
        env=environment,
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "succeeded" in done.stdout
    with zipfile.ZipFile(tmp_path / "run/submission.zip") as archive:
        assert len(archive.namelist()) == 10
    assert not list((tmp_path / "elsewhere").iterdir())
