"""Strict configuration from YAML files with single inheritance, and ``a.b=c``.

A file may name one parent: ``extends: default.yaml`` (relative to itself). Mappings are
merged key by key, everything else is replaced. `stseg.options` makes dataclasses of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from stseg.errors import InputError, unknown
from stseg.options import Key, build, keys, one_of, option
from stseg.text import load_yaml

__all__ = [
    "CONFIG_FOLDER", "SET_HELP", "Key", "Values", "assign", "assignment", "build", "find_config",
    "keys", "member_values", "merge", "one_of", "option", "override", "read_yaml", "to_dict",
]  # fmt: skip

Values: TypeAlias = dict[str, Any]
"""A mapping as YAML holds it, before `build` gives it types."""

_HERE = Path(__file__).resolve().parent
CONFIG_FOLDER = next(f for f in (_HERE.parent / "configs", _HERE / "configs") if f.is_dir())
"""The folder of the project's configurations. In a checkout it is beside the packages, in a wheel
inside this package."""

SET_HELP = (
    "change a key of the YAML file, such as fusion.rule=average; a list is data.videos=a,b or,"
    " quoted for the shell, 'data.videos=[a, b]'"
)
"""Help of ``--set``, which every command with a configuration takes."""


def read_yaml(path: str | Path, _seen: tuple[Path, ...] = ()) -> Values:
    """A YAML mapping with its parents merged in."""
    path = find_config(path)
    if path in _seen:
        raise InputError(f"configuration {path} extends itself: remove the circle")
    values = load_yaml(path) or {}
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


def member_values(value: object, where: str) -> tuple[Values, str]:
    """What a configuration says of one member, and where, for messages.

    value   a mapping, or the name of a file in ``configs/members``; a mapping with
            ``extends: <name of such a file>`` changes what it says of that member, of
            ``options`` those that it names
    """
    if not isinstance(value, str) and not (isinstance(value, Mapping) and "extends" in value):
        if not isinstance(value, Mapping):
            raise InputError(f"member {value!r} in {where} is neither a name nor a mapping")
        return dict(value), where
    changes = {"extends": value} if isinstance(value, str) else dict(value)
    name = changes.pop("extends")
    folder = CONFIG_FOLDER / "members"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise unknown("member", str(name), [p.stem for p in folder.glob("*.yaml")], f" in {where}")
    base = read_yaml(path)
    if isinstance(options := changes.get("options", {}), Mapping):
        changes["options"] = {**(base.get("options") or {}), **options}
    return {"name": name, **base, **changes}, f"{where}, member {name}"


def merge(base: Mapping[str, object], over: Mapping[str, object]) -> Values:
    """``base`` with ``over`` on top; mappings are merged, everything else is replaced."""
    merged: Values = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


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


def assign(values: Values, text: str) -> None:
    """Apply ``a.b=c`` to nested mappings, in place."""
    parts, value = assignment(text)
    target: Any = values
    for part in parts[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise InputError(f"--set {text}: {part} is no mapping")
    target[parts[-1]] = value


def override(values: Values, text: str) -> None:
    """`assign` of a run's configuration: ``members.<name>.<key>`` reaches into the member of that
    name."""
    parts, _ = assignment(text)
    if parts[0] != "members" or len(parts) < 3:
        assign(values, text)
        return
    members = [member_values(member, "--set")[0] for member in values.get("members") or ()]
    values["members"] = members
    named = {str(member.get("name")): member for member in members}
    if parts[1] not in named:
        raise unknown("member", parts[1], named, f" in --set {text}")
    assign({"members": named}, text)
