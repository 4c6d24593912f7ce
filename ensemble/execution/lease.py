"""One driver per run directory.

``lease.json`` names the driver that owns a run: host, process, a token and a heartbeat. A
second driver is refused while the first one lives; a dead one's lease is taken over. Workers
carry the token of their driver. A worker that outlives its driver finds another token and must not
write (fencing), so late results of a dead driver's workers never appear.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from mose import InputError
from stseg.files import Json, read_json

LEASE = "lease.json"
HEARTBEAT = 5.0
"""Seconds between renewals."""
STALE = 30.0
"""Seconds without a renewal after which the driver of a lease counts as dead, if it ran on another
host; on this host the process itself is looked up."""


class Fenced(InputError):
    """Raised because the run has another driver by now: nothing may be written for the old one."""


@contextlib.contextmanager
def held(root: str | Path, stale: float = STALE) -> Iterator[str]:
    """Hold the lease of a run directory; yields its token.

    Raises `InputError` while another driver is alive. Leaving the block gives it back.
    """
    path = Path(root) / LEASE
    token = secrets.token_hex(8)
    _acquire(path, token, stale)
    ended = threading.Event()
    beat = threading.Thread(target=_renew, args=(path, token, ended), daemon=True)
    beat.start()
    try:
        yield token
    finally:
        ended.set()
        beat.join()
        if _token(path) == token:
            path.unlink(missing_ok=True)


def refuse_second(root: str | Path, stale: float = STALE) -> None:
    """Raise `InputError` while another driver is alive."""
    path = Path(root) / LEASE
    lease = read_json(path)
    if lease is not None and _alive(lease, path, stale):
        raise InputError(
            f"run {path.parent} is being worked on by process {lease['pid']} on"
            f" {lease['host']}: wait for it, stop it, or choose another --output"
        )


def check(root: str | Path, token: str) -> None:
    """Raise `Fenced` unless the run's lease still carries ``token`` (an empty one: no lease).

    If there is no lease at all, this is not the driver's folder: it is not shared with this node,
    or the run is over.
    """
    if not token:
        return
    present = _token(Path(root) / LEASE)
    if present is None:
        raise Fenced(
            f"run folder {root} on {socket.gethostname()} is not the driver's: give an --output"
            " on a file system that all nodes share"
        )
    if present != token:
        raise Fenced(f"run {root} was taken over by another driver: this result is left out")


def _acquire(path: Path, token: str, stale: float) -> None:
    while True:
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(_content(token))
            return
        except FileExistsError:
            refuse_second(path.parent, stale)
        # Whoever renames the dead lease away may try to make a new one; the others start over.
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, path.with_name(f".{LEASE}.{token}.dead"))
            path.with_name(f".{LEASE}.{token}.dead").unlink()


def _alive(lease: Json, path: Path, stale: float) -> bool:
    if lease.get("host") == socket.gethostname():
        return _runs(int(lease.get("pid", 0)), str(lease.get("started", "")))
    try:
        return time.time() - path.stat().st_mtime < stale
    except FileNotFoundError:
        return False


def _runs(pid: int, started: str) -> bool:
    """Whether this very process still runs, and not another one that got its number later."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not started or started == _started(pid)


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty if that is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return ""


def _content(token: str) -> str:
    pid = os.getpid()
    return json.dumps(
        {"host": socket.gethostname(), "pid": pid, "started": _started(pid), "token": token}
    )


def _renew(path: Path, token: str, ended: threading.Event) -> None:
    while not ended.wait(HEARTBEAT):
        if _token(path) != token:
            return
        with contextlib.suppress(OSError):
            os.utime(path)


def _token(path: Path) -> str | None:
    lease = read_json(path)
    return None if lease is None else str(lease.get("token"))
