"""The checkpoints that are here: a cache in which each has the hash that it should have.

``python -m adapters.weights list | fetch NAME... | verify [NAME...] | import FILE NAME``
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from adapters.weights import catalogue, hub
from adapters.weights.catalogue import Checkpoint
from adapters.weights.download import Report, download
from stseg.errors import InputError, unknown
from stseg.files import locked, write_bytes, write_json

PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
"""Weights of small networks that ship with the project, each beside its card."""


@dataclass(frozen=True)
class Pin:
    """What a checkpoint was when it first came here; kept beside it as ``<file>.json``."""

    sha256: str
    md5: str
    bytes: int
    source: str

    @classmethod
    def of(cls, path: Path, source: str) -> Pin:
        """The hashes and size of a file."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
                md5.update(block)
            return cls(sha256.hexdigest(), md5.hexdigest(), file.tell(), source)


def missing(names: Iterable[str]) -> list[Checkpoint]:
    """The published checkpoints among these weights that were not downloaded yet."""
    known = catalogue.read_catalogue()
    wanted = [known[name] for name in names if name in known and not Path(name).is_file()]
    return [c for c in wanted if not (cache_folder() / c.file).is_file()]


def cache_folder() -> Path:
    """``$STSEG_WEIGHTS``, or ``stseg/weights`` in the user's cache directory."""
    if chosen := os.environ.get("STSEG_WEIGHTS"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "stseg" / "weights"


def resolve(name_or_path: str | Path) -> Path:
    """The file behind a path, a name in `PRETRAINED` (demo-xmem), or a name of the catalogue.

    Nothing is fetched: a known checkpoint that is not here is an `InputError` with the
    command that brings it, anything else one with the nearest names.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if (path / hub.FILES[1]).is_file():  # a folder in the format of transformers
        return path / hub.FILES[1]
    known = catalogue.read_catalogue()
    name = str(name_or_path)
    shipped = {file.stem: file for file in PRETRAINED.glob("*.safetensors")}
    if name in shipped:
        return shipped[name]
    if name in known:
        target = cache_folder() / known[name].file
        if target.is_file():
            return target
        raise InputError(
            f"checkpoint '{name}' is not here yet: run python -m adapters.weights fetch {name}"
        )
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"checkpoint {path} does not exist: give the path of a weights file")
    raise unknown("checkpoint", name, [*shipped, *known], " (it is no file either)")


def fetch(checkpoint: Checkpoint, report: Report | None = None) -> Path:
    """The checkpoint's file in the cache, downloaded where it is not there yet.

    A second process that wants the same file waits for the first. Raises `InputError` where
    the file cannot be had or is not the expected one; then nothing takes its name.
    """
    target = cache_folder() / checkpoint.file
    if target.is_file():
        return target
    if checkpoint.hub:
        return _fetch_from_hub(checkpoint, target)
    if checkpoint.address is None:
        raise InputError(
            f"checkpoint '{checkpoint.name}' has no direct address: get it from"
            f" {checkpoint.page}, then run python -m adapters.weights import FILE"
            f" {checkpoint.name}"
        )
    with locked(target):
        if target.is_file():  # another process has brought it
            return target
        partial = target.with_name(f".{target.name}.partial")
        download(checkpoint.address, partial, size=checkpoint.bytes, report=report)
        try:
            _accept(checkpoint, partial, target, checkpoint.address.text)
        except InputError:
            partial.unlink()
            raise
    return target


def _fetch_from_hub(checkpoint: Checkpoint, target: Path) -> Path:
    with locked(target):
        if not target.is_file():
            partial = target.with_name(f".{target.name}.hub")
            tensors = hub.bring(checkpoint.hub, partial)
            os.replace(partial / hub.FILES[0], target.with_name(hub.FILES[0]))
            _accept(checkpoint, tensors, target, f"the hub, {checkpoint.hub}")
            shutil.rmtree(partial)
    return target


def import_file(path: str | Path, checkpoint: Checkpoint) -> Path:
    """Copy a file that the user has into the cache, under the same checks as a download; with it,
    where package ``transformers`` needs one, the ``config.json`` that lies beside it.

    ``path`` may be the folder of both. `InputError` where one of them is missing.
    """
    path = Path(path)
    if (path / hub.FILES[1]).is_file():
        path = path / hub.FILES[1]
    if not path.is_file():
        raise InputError(f"file {path} does not exist")
    config = path.with_name(hub.FILES[0])
    if checkpoint.hub and not config.is_file():
        raise InputError(
            f"{config} is missing, which checkpoint '{checkpoint.name}' needs: get it from"
            f" {checkpoint.page} as well, put it beside {path.name} and import again"
        )
    target = cache_folder() / checkpoint.file
    with locked(target):
        copy = target.with_name(f".{target.name}.import")
        try:
            shutil.copyfile(path, copy)
            _accept(checkpoint, copy, target, str(path.resolve()))
            if checkpoint.hub:
                write_bytes(target.with_name(hub.FILES[0]), config.read_bytes())
        finally:
            copy.unlink(missing_ok=True)
    return target


def verify(checkpoint: Checkpoint) -> str:
    """What is wrong with the checkpoint's file in the cache; empty where nothing is."""
    target = cache_folder() / checkpoint.file
    if not target.is_file():
        return "not here"
    return _difference(checkpoint, Pin.of(target, ""), _read_pin(target))


def pinned(checkpoint: Checkpoint) -> Pin | None:
    """What a checkpoint was when it first came here, if it did."""
    return _read_pin(cache_folder() / checkpoint.file)


def _accept(checkpoint: Checkpoint, candidate: Path, target: Path, source: str) -> None:
    """Check a whole file and give it its name; `InputError` if it is not the right one."""
    pin = Pin.of(candidate, source)
    known = _read_pin(target)
    if difference := _difference(checkpoint, pin, known):
        raise InputError(
            f"the file from {source} is not checkpoint '{checkpoint.name}': {difference}"
        )
    if not known and not (checkpoint.sha256 or checkpoint.md5 or checkpoint.hub):
        _check_content(checkpoint, candidate, source)
    if not known:
        write_json(_pin_path(target), dataclasses.asdict(pin), indent=2)
    os.replace(candidate, target)


def _difference(checkpoint: Checkpoint, there: Pin, pinned: Pin | None) -> str:
    """How a file differs from what is published of it, and from what first came here."""
    if checkpoint.bytes is not None and there.bytes != checkpoint.bytes:
        return f"it has {there.bytes} bytes, expected {checkpoint.bytes}"
    for kind in ("sha256", "md5"):
        published = getattr(checkpoint, kind)
        if published and getattr(there, kind) != published:
            return f"its {kind} is {getattr(there, kind)}, published is {published}"
    if pinned and there.sha256 != pinned.sha256:
        return (
            f"its sha256 is {there.sha256}, but {pinned.sha256} was pinned when it first came"
            f" from {pinned.source}; if the publisher has replaced it, remove"
            f" {_pin_path(cache_folder() / checkpoint.file)}"
        )
    return ""


def _check_content(checkpoint: Checkpoint, path: Path, source: str) -> None:
    """Before an unpublished hash is pinned: the file holds tensors and no code, of its model."""
    from adapters.weights.checkpoints import load_state
    from adapters.weights.families import describe, family_of

    try:
        state = load_state(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), f"from {source}")) from None
    if family_of(state) != checkpoint.adapter:
        raise InputError(
            f"the file from {source} is not checkpoint '{checkpoint.name}': it {describe(state)}"
        )


def _pin_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _read_pin(target: Path) -> Pin | None:
    path = _pin_path(target)
    try:
        return Pin(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise InputError(f"{path} is damaged: remove it and fetch the checkpoint again") from None
