"""Typed, strict configuration from YAML files with single inheritance, and ``a.b=c``.

A file may name one parent: ``extends: default.yaml`` (relative to itself). Mappings are
merged key by key, everything else is replaced. A key that does not exist is an error that
names the key, the file and the nearest valid key.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stseg.errors import InputError, unknown

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "configs"


def read_yaml(path: str | Path, _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML mapping with its parents merged in."""
    path = find_config(path)
    if path in _seen:
        raise InputError(f"configuration {path} extends itself: remove the circle")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"configuration {path} cannot be read ({detail}): mend it") from None
    if not isinstance(values, dict):
        raise InputError(f"configuration {path} is no mapping: expected lines like 'fusion: ...'")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    beside = path.parent / str(parent)
    return merge(read_yaml(beside if beside.exists() else parent, (*_seen, path)), values)


def find_config(path: str | Path) -> Path:
    """A configuration file as given, or from the project's ``configs`` folder by name."""
    for candidate in (Path(path), CONFIG_FOLDER / path, CONFIG_FOLDER / f"{path}.yaml"):
        if candidate.is_file():
            return candidate.resolve()
    raise InputError(f"configuration {path} does not exist: give a YAML file")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` on top; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def build(kind: type, values: Any, where: str, prefix: str = "") -> Any:
    """A dataclass ``kind`` from a mapping, strictly: unknown keys and wrong types are errors.

    A nested dataclass with a class method ``parse(value, where)`` makes itself.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{prefix or 'configuration'} in {where} is no mapping")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    arguments = {}
    for key, value in values.items():
        if key not in fields:
            raise unknown("key", f"{prefix}{key}", [f"{prefix}{name}" for name in fields],
                          f" in {where}")  # fmt: skip
        arguments[key] = convert(hints[key], value, f"{prefix}{key}", where)
    missing = [
        name
        for name, f in fields.items()
        if name not in arguments
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{prefix or 'configuration '}in {where} lacks '{missing[0]}': give it")
    return kind(**arguments)


def convert(hint: Any, value: Any, key: str, where: str) -> Any:
    """``value`` as the annotated type ``hint``, or an `InputError` that says what was expected."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        return convert(next(p for p in parts if p is not type(None)), value, key, where)
    if dataclasses.is_dataclass(hint):
        if hasattr(hint, "parse"):
            return hint.parse(value, where)
        return build(typing.cast(type, hint), value, where, f"{key}.")
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, Sequence):
            return tuple(convert(parts[0], item, key, where) for item in items)
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return dict(value)
    elif hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    name = getattr(hint, "__name__", str(hint)) if origin is None else origin.__name__
    raise InputError(f"{key} in {where} is {value!r}, expected {name}")


def to_dict(config: Any) -> Any:
    """Plain mappings and lists, as `load_config` reads them."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, (tuple, list)):
        return [to_dict(value) for value in config]
    return config


def assignment(text: str) -> tuple[list[str], Any]:
    """``a.b=c`` as the parts of its key and its value, which is read as YAML."""
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text} is no assignment: write key.sub=value")
    try:
        return key.split("."), yaml.safe_load(raw)
    except yaml.YAMLError:
        return key.split("."), raw


def assign(values: dict[str, Any], text: str) -> None:
    """Apply ``a.b=c`` to nested mappings, in place."""
    parts, value = assignment(text)
    target: Any = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise InputError(f"--set {text}: {part} is no mapping")
    target[parts[-1]] = value


def one_of(key: str, value: str, valid: Iterable[str]) -> None:
    """`InputError`, with the valid names, where ``value`` is none of them."""
    if value not in valid:
        raise unknown(key, value, valid)
