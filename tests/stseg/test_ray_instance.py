"""Starting and joining Ray, without doing so; with a real one: tests/ensemble/execution."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from mose import InputError
from stseg.ray_instance import FOLDER_PREFIX, embedded_ray, joined_ray, usable_cores


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where temporary files go; by a short path, as Ray's sockets need."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", ".")
    return tmp_path


@pytest.fixture
def started(folder, monkeypatch) -> list[dict[str, Any]]:
    """What Ray is started with: its options, and this process's environment."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "init", _noting(calls))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return calls


def _noting(calls: list[dict[str, Any]]) -> Callable[..., None]:
    def init(address: str, **options: Any) -> None:
        calls.append({"address": address, **options, "environment": dict(os.environ)})

    return init


def test_cores_are_those_that_this_process_may_use():
    assert usable_cores() == len(os.sched_getaffinity(0))
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_an_instance_of_ones_own_leaves_files_and_environment_as_they_were(folder, started):
    before = dict(os.environ)
    with embedded_ray(num_cpus=3):
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []
    assert dict(os.environ) == before
    (call,) = started
    assert (call["address"], call["num_cpus"]) == ("local", 3), "never one that runs here"
    assert len(call["environment"]["RAY_AUTH_TOKEN"]) >= 32
    assert call["environment"]["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.path.samefile(folder, Path(call["_temp_dir"]).parent)


def test_workers_can_import_what_this_process_can(started, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, "/a/place/of/ones/own"])
    with embedded_ray(num_cpus=1):
        pass
    assert started[0]["environment"]["PYTHONPATH"].endswith("/a/place/of/ones/own")


def test_an_interpreter_in_a_folder_with_a_space_is_quoted(started, monkeypatch):
    with embedded_ray(num_cpus=1):
        pass
    monkeypatch.setattr(sys, "executable", "/a clone/.venv/bin/python")
    with embedded_ray(num_cpus=1):
        pass
    assert started[1]["runtime_env"]["py_executable"] == "'/a clone/.venv/bin/python'"


def test_a_machine_that_is_too_busy_is_told_in_a_sentence(folder, started, monkeypatch):
    def init(address: str, **options: Any) -> None:
        raise TimeoutError("the raylet did not answer\nat all")

    monkeypatch.setattr(ray, "init", init)
    before = dict(os.environ)
    words = r"could not start .*did not answer\).*--executor inline"
    with pytest.raises(InputError, match=words), embedded_ray(num_cpus=1):
        pass
    assert dict(os.environ) == before
    assert list(folder.iterdir()) == []


def test_a_start_that_took_too_long_is_tried_again(folder, started, monkeypatch):
    init, left = ray.init, []

    def slow_once(address: str, **options: Any) -> None:
        if left:
            init(address, **options)
            return
        words = [sys.executable, "-c", "import time; time.sleep(600)", options["_temp_dir"]]
        left.append(subprocess.Popen(words))
        raise TimeoutError("the raylet did not answer")

    monkeypatch.setattr(ray, "init", slow_once)
    with embedded_ray(num_cpus=1):
        assert left[0].wait(180) != 0, "what the first start left running is ended"
    assert len(started) == 1


def test_folders_of_dead_processes_are_removed(folder, started):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, kept = (folder / f"{FOLDER_PREFIX}{pid}-x" for pid in (dead.pid, os.getppid()))
    left.mkdir()
    kept.mkdir()
    with embedded_ray(num_cpus=1):
        assert not left.exists()
        assert kept.exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", r"cannot join a Ray cluster at '127.0.0.1:1' .*refused"),
        ("ray://head:10001", r"'ray://head:10001' is no address"),
        ("head", r"'head' is no address of a Ray cluster: give host:port"),
    ],
)
def test_an_address_without_a_cluster(address, words):
    with pytest.raises(InputError, match=words), joined_ray(address):
        pass


def test_a_ray_that_was_there_before_stays(folder, started, monkeypatch):
    ended = []
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(InputError, match="uses Ray already"), embedded_ray(num_cpus=1):
        pytest.fail("the block must not run")
    assert started == ended == []
    assert list(folder.iterdir()) == []
