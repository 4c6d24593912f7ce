"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# On busy cores, threads that spin while they wait make small arithmetic a hundred times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Ray instance of four (not real) cores for all tests; what it was given as home folder."""
    from ensemble.executors.instance import embedded_ray

    home, before = tmp_path_factory.mktemp("home"), os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    with embedded_ray(num_cpus=4):
        if before is not None:
            os.environ["HOME"] = before
        yield home
