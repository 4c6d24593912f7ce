"""The Ray executor on clusters of several nodes that come and go.

What is decided when a node is lost is tested without Ray: tests/ensemble/scheduling.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray import exceptions as ray_errors

from ensemble.execution.losses import how_lost, in_a_line

HERE = Path(__file__).parent


def run_scenario(name: str, folder: Path, token_file: Path) -> list[dict]:
    """The log of a scenario of cluster_scenario.py."""
    (folder / "ray").mkdir()  # where Cluster notes its address
    token_file.write_text("0123456789abcdef" * 4)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "HOME": str(folder),
        "RAY_TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[2])]),
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "cluster_scenario.py"), name, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short, for Ray's sockets lie in it."""
    return tmp_path_factory.mktemp("c")


def pairs_done(log: list[dict]) -> list[dict]:
    return [entry for entry in log if entry["event"] == "Done" and entry["member"]]


@pytest.mark.soak
def test_a_killed_node_costs_little_and_a_new_one_is_used(folder, tmp_path):
    log = run_scenario("replace_a_node", folder, tmp_path / "token")
    done = pairs_done(log)
    assert sorted(e["video"] for e in done) == sorted({e["video"] for e in done})
    assert len(done) == 18
    assert {e["loss"] for e in log if e["event"] == "WorkerLost"} == {"node"}
    assert {e["category"] for e in log if e["event"] == "Retry"} == {"infrastructure"}
    again = [e for e in log if e["event"] == "Run" and e["attempt"]["number"] > 1]
    assert len(again) == 1, "what the worker of that node was doing"
    node_of = {e["worker"]: e["node"] for e in log if e["event"] == "WorkerUp"}
    nodes = [node_of[e["worker"]] for e in done]
    assert len(set(nodes)) == 3
    (lost,) = {node_of[e["worker"]] for e in log if e["event"] == "WorkerLost"} & set(nodes)
    noticed = next(n for n, e in enumerate(log) if e["event"] == "WorkerLost")
    assert lost not in [node_of[e["worker"]] for e in pairs_done(log[noticed:])]


@pytest.mark.soak
def test_every_node_is_asked_and_what_is_wanted_is_demand_for_an_autoscaler(folder, tmp_path):
    log = run_scenario("grow", folder, tmp_path / "token")
    assert log[0]["event"] == "refused", "before anything was started"
    assert log[0]["message"].endswith("cannot take the work: folder /data is not there: share it")
    (demand,) = [e["demand"] for e in log if e["event"] == "demand"]
    assert demand == [{"CPU": 1.0, "GPU": 1.0}] * 2
    assert len(pairs_done(log)) == 8
    assert sum(e["event"] == "Start" and e["shape"]["gpus"] == 1 for e in log) == 2


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        (ray_errors.OutOfMemoryError("Task was killed due to the node running low"), "memory"),
        (ray_errors.ActorUnavailableError("unreachable", b"0" * 16), "node"),
        (ray_errors.NodeDiedError("the node died"), "node"),
        (ray_errors.ActorDiedError(), "died"),
        (RuntimeError("anything"), "died"),
    ],
)
def test_what_rays_exceptions_mean(error, loss):
    assert how_lost(error) == loss
    line = in_a_line(error)
    assert line.startswith(f"{type(error).__name__}: ")
    assert "\n" not in line


def test_reason_of_a_memory_kill_is_its_first_line():
    text = (
        "1 worker(s) were killed due to the node running low on memory. 7 GB\nOOM kill reason: x\n"
    )
    line = in_a_line(ray_errors.OutOfMemoryError(f"{text}Refer to the documentation"))
    assert line == f"OutOfMemoryError: {text.splitlines()[0]}"
