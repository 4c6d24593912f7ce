"""Minutes of faults against the main command on embedded Ray: ``make soak``.

What came of it is told in docs/explanation/reliability.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from test_executors import SLEEPS, run_toy

from mose.synthetic import write_dataset

pytestmark = pytest.mark.soak

VIDEOS = 60
KILLS = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, VIDEOS, frames=(12, 48), objects=(1, 4), height=144, width=192)
    return folder


@pytest.fixture(scope="module")
def calm(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of what an undisturbed run writes."""
    output = tmp_path_factory.mktemp("calm") / "run"
    assert start(data, output).wait() == 0, told(output)
    return contents(output)


def start(data: Path, output: Path) -> subprocess.Popen[bytes]:
    arguments = ["--config", "floor", "--dataset", data, "--split", "test", "--output", output]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    with open(f"{output}.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ensemble.run", *map(str, arguments)],
            env=environment,
            stdout=log,
            stderr=log,
        )


def told(output: Path) -> str:
    return Path(f"{output}.log").read_text()[-2000:]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".png", ".zip") and "report" not in path.parts
    }


def events(output: Path) -> list[dict]:
    log = output / "events.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def redone(log: list[dict]) -> list[tuple[str, str]]:
    """The items that were begun again after they had been done."""
    done: set[tuple[str, str]] = set()
    again = []
    for entry in log:
        if entry["event"] == "Done":
            done.add((entry["member"], entry["video"]))
        elif entry["event"] in ("Run", "Finish"):
            item = (entry.get("member", ""), entry["video"])
            if item in done:
                again.append(item)
    return again


def test_twenty_kills_of_the_driver(data, calm, tmp_path):
    """Every fourth at a random moment of its start, the others after some of its work."""
    chance = random.Random(0)
    output = tmp_path / "run"
    kills = 0
    while kills < KILLS:
        planned, done = count(output, "Plan"), count(output, "Done") + chance.randrange(5)
        driver = start(data, output)
        if kills % 4 == 0:
            time.sleep(chance.uniform(0.2, 5.0))
        while kills % 4 and driver.poll() is None:
            if begun(output, planned) and count(output, "Done") >= done:
                break
            time.sleep(0.05)
        if driver.poll() is not None:
            break
        driver.kill()
        driver.wait()
        kills += 1
    assert kills > 4, told(output)
    assert start(data, output).wait() == 0, told(output)
    assert contents(output) == calm
    assert redone(events(output)) == []
    assert not list(output.rglob("*.partial"))
    print(f"{kills} kills, {count(output, 'Plan') - 1} of them after the plan was made")


def begun(output: Path, planned: int) -> bool:
    """Whether the latest driver's first worker is ready."""
    log = events(output)
    plans = [n for n, entry in enumerate(log) if entry["event"] == "Plan"]
    return len(plans) > planned and any(e["event"] == "Loaded" for e in log[plans[-1] :])


def count(output: Path, kind: str) -> int:
    return sum(entry["event"] == kind for entry in events(output))


def test_killing_all_workers_whenever_they_have_done_some_pairs(data, calm, tmp_path):
    output = tmp_path / "run"
    over = threading.Event()
    rounds = []

    def kill_all() -> None:
        done = 0
        while not over.wait(0.05):
            if count(output, "Done") < done + 5:
                continue
            done = count(output, "Done")
            alive: dict[int, int] = {}
            for entry in events(output):
                if entry["event"] == "WorkerUp":
                    alive[entry["worker"]] = entry["pid"]
                elif entry["event"] in ("WorkerLost", "Stop"):
                    alive.pop(entry["worker"], None)
            for pid in alive.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            rounds.append(done)

    driver = start(data, output)
    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        assert driver.wait() == 0, told(output)
    finally:
        over.set()
        killer.join()
    assert contents(output) == calm
    assert redone(events(output)) == []
    lost = count(output, "WorkerLost")
    assert lost > 0
    print(f"{len(rounds)} rounds, {lost} workers lost, {count(output, 'Done')} results")


def test_a_pair_that_eats_the_nodes_memory(monkeypatch):
    """Ray's memory monitor kills its worker, here when the machine has 2.5 GB less than now."""
    memory = psutil.virtual_memory()
    threshold = 1 - (memory.available - 2.5e9) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{threshold:.3f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    outcome, log = run_toy("ray", "a", [*SLEEPS, "eat-1"], num_cpus=2)
    (given_up,) = outcome.given_up
    assert (given_up.video, given_up.category) == ("eat-1", "memory")
    assert "memory" in given_up.message
    assert {e["loss"] for e in log if e["event"] == "WorkerLost"} == {"memory"}
    assert set(outcome.finished) == set(SLEEPS)
