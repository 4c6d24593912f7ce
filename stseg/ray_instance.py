"""The Ray that a run uses: an instance of its own, or a cluster that it joins."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._private import worker as ray_worker

from stseg.errors import InputError

OBJECT_STORE_BYTES = 200 << 20
FOLDER_PREFIX = "stseg-ray-"
OWN = "local"
"""Ray's address for a new instance."""
START_ATTEMPTS = 3
"""Ray gives a start 30 seconds, which may be too few on a busy machine: beside 30 busy processes on
two cores, three starts of four took longer."""


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def embedded_ray(num_cpus: int) -> Iterator[None]:
    """A Ray instance of this process's own; it ends with the block or with the process.

    It keeps its files in a temporary folder that is removed at the end, and its token in
    this process's environment: since 2.60 Ray makes one, and writes it into the home folder
    where none is given. Its workers can import what this process can.
    """
    folder = _make_folder()
    settings = {
        "RAY_AUTH_TOKEN": _process_token(),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    before = {name: os.environ.get(name) for name in (*settings, "RAY_AUTH_MODE")}
    os.environ.update(settings)
    try:
        with _initialised(
            OWN,
            include_dashboard=False,
            num_cpus=num_cpus,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=folder,
            **_quoted_interpreter(),
        ):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def _quoted_interpreter() -> dict[str, dict[str, str]]:
    """What Ray must be told where the path of Python holds a space.

    Workers with an environment of their own, such as those of Ray Train, are started through a
    shell with that path as it is, and would never come up.
    """
    quoted = shlex.quote(sys.executable)
    return {} if quoted == sys.executable else {"runtime_env": {"py_executable": quoted}}


@contextlib.contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """Join a running cluster at ``host:port``, or "auto" for the one that was started on this
    machine; its resources are its own."""
    host, _, port = address.rpartition(":")
    if "://" in address or (address != "auto" and not (host and port.isdigit())):
        raise InputError(
            f"'{address}' is no address of a Ray cluster: give host:port (or auto) from a machine"
            " of the cluster; from elsewhere use ray job submit"
        )
    if address != "auto":  # Ray itself would try for minutes
        try:
            socket.create_connection((host, int(port)), timeout=5.0).close()
        except OSError as error:
            raise _no_cluster(address, error) from None
    with _initialised(address=address):
        yield


def _no_cluster(address: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0]
    return InputError(
        f"cannot join a Ray cluster at '{address}' ({reason}): start one there, with the same"
        " versions and its RAY_AUTH_TOKEN given here, or leave --address and RAY_ADDRESS out to"
        " run on this machine"
    )


def _no_start(address: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0]
    return InputError(
        f"Ray could not start on this machine ({reason}): run the same command again when the"
        " machine is less busy, or with --executor inline"
    )


@contextlib.contextmanager
def _initialised(address: str, **options: Any) -> Iterator[None]:
    if ray.is_initialized():  # it is not ours to shut down
        raise InputError(
            "this process uses Ray already: call ray.shutdown() before, or run in a process of"
            " its own"
        )
    # Ray prints the deaths of workers on standard output, and has no option against it;
    # the scheduler reports them.
    printer = getattr(ray_worker, "print_to_stdstream", None)
    setattr(ray_worker, "print_to_stdstream", lambda *args, **more: None)  # noqa: B010
    try:
        _start(address, options)
        yield
    finally:
        ray.shutdown()
        setattr(ray_worker, "print_to_stdstream", printer)  # noqa: B010


def _start(address: str, options: Mapping[str, Any]) -> None:
    """Initialise Ray; an instance of one's own is tried `START_ATTEMPTS` times."""
    for left in reversed(range(START_ATTEMPTS if address == OWN else 1)):
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
            return
        except Exception as error:  # a plain one where the machine is too slow
            if not left:
                raise (_no_start if address == OWN else _no_cluster)(address, error) from None
            _end_processes(str(options["_temp_dir"]))


def _end_processes(folder: str) -> None:
    """End what a start that failed has left running, by the folder on its command line."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(folder in part for part in process.cmdline()):
                process.kill()


@functools.cache
def _process_token() -> str:
    """The token of this process's own instances; Ray reads it once per process."""
    return os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)


def _make_folder() -> str:
    """A folder for Ray's files, named after this process; those of dead ones are removed.

    Ray's sockets lie in it, and their paths may not exceed some 100 characters.
    """
    place = tempfile.gettempdir() if len(tempfile.gettempdir()) < 25 else "/tmp"
    for left in Path(place).glob(f"{FOLDER_PREFIX}*"):
        pid = left.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=place)
