"""Files and folders that appear when they are complete or not at all, locks, and digests.

Whatever the project writes, it writes under a hidden name beside the target, which ends in
``.partial``, and renames: a reader, or a later run after a kill, never sees half of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object as it is read or written; inside the program its content has types."""

PARTIAL = ".partial"
"""The end of the name of everything that is not complete yet."""


def partial_path(path: Path, token: str | None = None) -> Path:
    """Where ``path`` is written until it is complete: ``.<name>.<token>.partial`` beside it.

    ``token`` tells writers apart; without one it is the number of this process.
    """
    return path.with_name(f".{path.name}.{os.getpid() if token is None else token}{PARTIAL}")


@contextlib.contextmanager
def open_atomic(path: str | Path, sync: bool = False) -> Iterator[BinaryIO]:
    """A binary file to write that becomes ``path`` when the block ends without an exception.

    sync   its content is on the disk, and not only with the system, before it has its name

    A full disk is an `OSError` that names ``path``.
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        with open(partial, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes, sync: bool = False) -> None:
    """Write a file completely or not at all."""
    with open_atomic(path, sync) as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file completely or not at all. What of a file's name is no text is written as
    a backslash and its number."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | Path, value: Any, indent: int | None = 1) -> None:
    """Write JSON completely or not at all."""
    write_text(path, json.dumps(value, indent=indent))


def read_json(path: str | Path) -> Json | None:
    """A JSON mapping, or None where there is none or it is damaged."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def put_in_place(partial: Path, folder: Path) -> None:
    """Rename a complete folder to ``folder``, and remove what had this name before."""
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


@contextlib.contextmanager
def appearing(folder: Path, may_write: Callable[[], None] | None = None) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` when the block ends without an exception.

    ``may_write`` is called right before that, and raises where nothing may be written any more.
    """
    partial = partial_path(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if may_write is not None:
            may_write()
        put_in_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def appearing_in(root: Path, kinds: Sequence[str], name: str) -> Iterator[Path]:
    """A temporary folder with a subfolder for each of ``kinds``, such as ``JPEGImages``.

    When the block ends without an exception, each becomes ``root/<kind>/<name>``, in the order
    given. So ``name`` is complete when it is there under the last kind. No other process may write
    into ``root`` at the same time.
    """
    partial = partial_path(root / name, token="new")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for kind in kinds:
            (partial / kind).mkdir(parents=True)
        yield partial
        for kind in kinds:
            (root / kind).mkdir(exist_ok=True)
            put_in_place(partial / kind, root / kind / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(path: str | Path, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of ``path``, a hidden file beside it; yields whether it is held.

    wait   for another process to give it back; else the block runs at once, and must look
    """
    from filelock import FileLock, Timeout  # asyncio comes with it: too much for --help

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def digest(*parts: Any) -> str:
    """A short hash of JSON-able values, for resume keys."""
    return _short(json.dumps(parts, sort_keys=True, default=str))


def quick_digest(*parts: str) -> str:
    """`digest` for keys that are made by the million."""
    return _short("\0".join(parts))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def stand_in(head: bytes) -> str | None:
    """What a file is in place of the one that was meant, by its first bytes; None if that is not
    known."""
    start = head.lstrip()[:64].lower()
    if start.startswith(b"version https://git-lfs.github.com/"):
        return "it is only a pointer of Git LFS: fetch the file itself with git lfs pull"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page: download the file itself"
    return None


def file_digest(path: str | Path) -> str:
    """sha256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def count_files(folder: Path) -> int:
    """How many files a folder has, hidden ones aside; 0 without it."""
    try:
        return sum(not name.startswith(".") for name in os.listdir(folder))
    except OSError:
        return 0
