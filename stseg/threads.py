"""One thread for work of numpy that is too small to be shared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Products of matrices within the block use one thread.

    Threads that wait for each other spin: with a dozen numbers they are 20 times the work, and
    beside other processes, or on a single core, they take 60 times as long.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Those that numpy and scipy have loaded."""
    return ThreadpoolController()
