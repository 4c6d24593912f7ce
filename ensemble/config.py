"""Typed, strict configuration: YAML files with single inheritance, and ``--set a.b=c``.

A file may name one parent: ``extends: default.yaml`` (relative to itself). Mappings are
merged key by key, everything else is replaced. A key that does not exist is an error that
names the key, the file and the nearest valid key.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ensemble.fusion import RULES, FusionOptions
from mose import InputError
from mose.errors import unknown
from selection.selectors import GRANULARITIES, POLICIES, SelectionOptions

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "configs"
BUILT_IN_DATASET = "synthetic"


@dataclass(frozen=True)
class DataConfig:
    """Which videos.

    dataset       root folder of a data set, or ``synthetic``: the built-in one
    split         train, valid or test
    annotations   folders of given masks, where they are not ``Annotations``
    labels        folder of full labels to score with, or true where the data set has them
    videos        names or shell patterns; empty: all
    synthetic     options of the built-in data set
    """

    dataset: str = BUILT_IN_DATASET
    split: str = "test"
    annotations: tuple[str, ...] = ()
    labels: str | None = None
    videos: tuple[str, ...] = ()
    synthetic: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MemberConfig:
    """One member: an adapter with weights and options under a name.

    name          unique in the run
    adapter       see ``python -m adapters list``
    weights       path of a checkpoint or a name from configs/weights.yaml
    options       the adapter's options
    prior         expected J&F in percent, from the literature or a labelled split
    num_cpus      CPU cores of one worker
    num_gpus      GPUs of one worker when the run's device is a GPU; fractions share one
    memory        bytes of memory of one worker that Ray reserves, or nothing
    max_workers   at most so many workers, or nothing
    """

    name: str
    adapter: str
    weights: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prior: float = 50.0
    num_cpus: float = 1.0
    num_gpus: float = 1.0
    memory: int | None = None
    max_workers: int | None = None


@dataclass(frozen=True)
class ExecutionConfig:
    """How the work is run.

    executor   ray, or inline: one pair after the other in this process
    address    of a Ray cluster; nothing: an embedded instance of its own
    device     cpu, cuda or mps: where the members run
    workers    workers at a time on the embedded instance, or nothing: one per core
    """

    executor: str = "ray"
    address: str | None = None
    device: str = "cpu"
    workers: int | None = None


@dataclass(frozen=True)
class OutputConfig:
    """What is written.

    path         run folder, or nothing: runs/<data set>-<split>
    keep_soft    keep the members' predictions after their video is finished
    submission   write submission.zip
    report       write the HTML report
    """

    path: str | None = None
    keep_soft: bool = False
    submission: bool = True
    report: bool = True


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run depends on."""

    data: DataConfig = field(default_factory=DataConfig)
    members: tuple[MemberConfig, ...] = ()
    fusion: FusionOptions = field(default_factory=FusionOptions)
    selection: SelectionOptions = field(default_factory=SelectionOptions)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def __post_init__(self) -> None:
        _one_of("fusion.rule", self.fusion.rule, RULES)
        _one_of("selection.policy", self.selection.policy, POLICIES)
        _one_of("selection.granularity", self.selection.granularity, GRANULARITIES)
        _one_of("execution.executor", self.execution.executor, ("ray", "inline"))
        names = [member.name for member in self.members]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two members are called '{name}': give each a name of its own")
            if not name or name.startswith(".") or set(name) & set('/\\:"<>|?*\0'):
                raise InputError(
                    f"member name {name!r} cannot be a folder name: use letters, digits, - and _"
                )
        for member in self.members:
            if not 0 < member.prior < 100:
                raise InputError(
                    f"prior {member.prior} of member '{member.name}' is no J&F in percent:"
                    " give a number between 0 and 100"
                )


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration file, its parents, and ``key.sub=value`` overrides.

    ``members`` is a list of mappings, or of names of files in ``configs/members``.
    """
    values = read_yaml(path)
    for override in overrides:
        _override(values, override)
    return build(RunConfig, values, str(path))


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


def member_config(value: Any, where: str) -> MemberConfig:
    """A member from a mapping, or from the name of a file in ``configs/members``."""
    if isinstance(value, MemberConfig):
        return value
    if isinstance(value, str):
        path = CONFIG_FOLDER / "members" / f"{value}.yaml"
        if not path.is_file():
            known = [p.stem for p in (CONFIG_FOLDER / "members").glob("*.yaml")]
            raise unknown("member", value, known, f" in {where}")
        value = {"name": value, **read_yaml(path)}
        where = str(path)
    return build(MemberConfig, value, where)


def build(kind: type, values: Any, where: str, prefix: str = "") -> Any:
    """A dataclass ``kind`` from a mapping, strictly: unknown keys and wrong types are errors."""
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
        if hint is MemberConfig:
            return member_config(value, where)
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


def _override(values: dict[str, Any], text: str) -> None:
    """Apply ``a.b=c``; ``members.<name>.<key>`` reaches into the member of that name."""
    key, equals, raw = text.partition("=")
    if not equals or not key:
        raise InputError(f"--set {text} is no assignment: write key.sub=value")
    try:
        value = yaml.safe_load(raw)
    except yaml.YAMLError:
        value = raw
    parts = key.split(".")
    target: Any = values
    for depth, part in enumerate(parts[:-1]):
        if part == "members" and depth == 0 and len(parts) > 2:
            members = [to_dict(member_config(m, "--set")) for m in values.get("members") or ()]
            values["members"] = members
            target = {m["name"]: m for m in members}
            continue
        if isinstance(target, dict) and parts[0] == "members" and depth == 1 and part not in target:
            raise unknown("member", part, target, f" in --set {text}")
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise InputError(f"--set {text}: {part} is no mapping")
    target[parts[-1]] = value


def _one_of(key: str, value: str, valid: typing.Iterable[str]) -> None:
    if value not in valid:
        raise unknown(key, value, valid)
