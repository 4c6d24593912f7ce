"""Importing the package ``sam2``.

Its ``__init__`` initialises the process-wide Hydra, which would break a host program that
uses Hydra itself. Here it finds Hydra occupied and leaves it alone; nothing of ours composes
configurations, so nothing is missed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from mose import InputError

INSTALL = (
    "pip install hydra-core iopath tqdm, then"
    " SAM2_BUILD_CUDA=0 pip install --no-build-isolation --no-deps sam2==1.1.0"
)


def sam2_module(name: str) -> ModuleType:
    """Module ``sam2.<name>`` of the package; `InputError` where it is not installed.

    Hydra's global state is the same before and after.
    """
    try:
        with _hydra_occupied():
            return importlib.import_module(f"sam2.{name}")
    except ImportError as error:
        raise InputError(
            f"adapter 'sam2' needs the package sam2, which cannot be imported ({error}): {INSTALL}"
        ) from None


@contextmanager
def _hydra_occupied() -> Iterator[None]:
    from hydra.core.global_hydra import GlobalHydra

    hydra: Any = GlobalHydra.instance()
    before = hydra.hydra
    hydra.hydra = before or object()
    try:
        yield
    finally:
        hydra.hydra = before
