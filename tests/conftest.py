"""Fixtures that several test modules share."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Every run tests the same; HYPOTHESIS_PROFILE=default looks for new examples. How long an example
# takes says how busy the machine is, and decides nothing.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# On busy cores, threads that spin while they wait make small arithmetic a hundred times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several processes, a module's tests share one, and so do all that need Ray."""
    for item in items:
        needs_ray = "ray_session" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("ray" if needs_ray else item.location[0]))


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Tests that draw from torch's own generator draw the same in any order and number."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(1)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """torch's arithmetic on one thread: sums in one order, and no waiting on busy cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


RAY_HOME = pytest.StashKey[Path]()
RAY_ENDS = pytest.StashKey[contextlib.ExitStack]()


@pytest.fixture
def ray_session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Ray instance of four (not real) cores; what it was given as home.

    Starting one takes seconds, so tests that follow each other share it. It ends before a test
    that does not need it: that one may start one of its own in the same process. Its workers
    find no variables of OpenMP in their environment: what is set there is set by the pipeline or
    by Ray.
    """
    from stseg.ray_instance import embedded_ray

    stash = request.config.stash
    if RAY_HOME not in stash:
        home = tmp_path_factory.mktemp("home")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
                patch.delenv(name, raising=False)
            stash[RAY_ENDS] = contextlib.ExitStack()
            stash[RAY_ENDS].enter_context(embedded_ray(num_cpus=4))
        stash[RAY_HOME] = home
    return stash[RAY_HOME]


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the shared Ray instance where the next test does not need it."""
    if RAY_HOME in item.config.stash and "ray_session" not in getattr(nextitem, "fixturenames", ()):
        item.config.stash[RAY_ENDS].close()
        del item.config.stash[RAY_HOME]
