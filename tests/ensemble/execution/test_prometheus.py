"""What Prometheus would see: a run's own counts."""

from __future__ import annotations

from collections import Counter

import pytest
from ray.util import metrics as rays
from test_executors import run_toy

from ensemble.execution.prometheus import Metrics


@pytest.fixture
def seen(monkeypatch) -> dict[tuple, float]:
    """(name, tags) -> value; what Ray itself would get passes through to it."""
    values: Counter = Counter()

    def note(method, add):
        def noting(self, value, tags):
            key = (self.info["name"], *(tags[key] for key in self.info["tag_keys"]))
            values[key] = values[key] + value if add else value
            method(self, value, tags)

        return noting

    monkeypatch.setattr(rays.Counter, "inc", note(rays.Counter.inc, add=True))
    monkeypatch.setattr(rays.Gauge, "set", note(rays.Gauge.set, add=False))
    return values


def test_a_run_is_counted(ray_session, seen):
    outcome, _ = run_toy("ray", "a", ["sleep-0.01-1", "sleep-0.01-2", "raise-1", "kill-1"])
    assert len(outcome.finished) == 2
    assert seen["stseg_done", "a"] == 2
    assert seen["stseg_done", "finish"] == 2
    assert seen["stseg_failed", "a", "error"] == 2
    assert seen["stseg_failed", "a", "lost: died"] == 3
    assert seen["stseg_seconds", "a"] >= 0.02
    assert seen["stseg_running", "a"] == seen["stseg_running", "finish"] == 0


def test_running_goes_up_and_down(ray_session, seen):
    metrics = Metrics()
    metrics.began(1, "a")
    metrics.began(2, "a")
    metrics.ended(3, "stopped")
    assert seen["stseg_running", "a"] == 2
    metrics.ended(1, "stopped")
    metrics.ended(1, "stopped")
    assert seen["stseg_running", "a"] == 1
    assert seen["stseg_failed", "a", "stopped"] == 1
