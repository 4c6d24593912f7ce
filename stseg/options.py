"""Options: dataclasses whose fields carry type, default, bounds and documentation.

A field made by `option` documents itself and knows what values it takes. `build` makes such a
dataclass from YAML or keyword arguments and says in one sentence what does not fit; `keys`
lists the fields of a tree of them, for help and for reference pages.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

import yaml

from stseg.errors import InputError, unknown

Options = TypeVar("Options")
Choices = Collection[str] | Callable[[], Collection[str]]

_METADATA = "option"
_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Limits:
    """What a field takes beyond its type; of a list or mapping, what each item takes.

    least, most    closed bounds of a number
    above, below   open bounds of a number
    also           numbers outside the bounds that mean something of their own
    multiple_of    a whole number that divides the value
    choices        the names that a text may be, or a function that gives them
    fewest         items of a list at least
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    also: tuple[float, ...] = ()
    multiple_of: int = 1
    choices: Choices | None = None
    fewest: int = 0

    def names(self) -> tuple[str, ...]:
        """The names to choose from, or none where any text will do."""
        if self.choices is None:
            return ()
        return tuple(self.choices() if callable(self.choices) else self.choices)

    def take(self, number: float) -> bool:
        """Whether a number is within the bounds."""
        return number in self.also or (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
            and (self.multiple_of == 1 or number % self.multiple_of == 0)
        )

    def __str__(self) -> str:
        """The bounds in words, such as "from 1, or -1"; empty where there are none."""
        if names := self.names():
            return f"one of {', '.join(names)}"
        words = ["a multiple of " + str(self.multiple_of)] if self.multiple_of > 1 else []
        for bound, word in (
            (self.least, "from"),
            (self.above, "above"),
            (self.most, "to" if self.least is not None else "up to"),
            (self.below, "below" if self.above is None else "and below"),
        ):
            if bound is not None:
                words.append(f"{word} {bound:g}")
        return " ".join(words) + "".join(f", or {number:g}" for number in self.also)


NO_LIMITS = Limits()


@dataclass(frozen=True)
class _Documented:
    doc: str
    limits: Limits


def option(default: Any = MISSING, *, doc: str, limits: Limits = NO_LIMITS, **bounds: Any) -> Any:
    """A field of a dataclass of options.

    default   the value, or a function without arguments that makes it, such as ``dict``;
              without one the key must be given
    doc       what the key means, one sentence or more
    bounds    fields of `Limits` by name: ``option(5, doc="...", least=1)``
    """
    metadata = {_METADATA: _Documented(doc, dataclasses.replace(limits, **bounds))}
    if isinstance(default, (type, types.FunctionType)):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Source:
    """Where values come from, for messages.

    place   follows the name of a key: " in configs/default.yaml", " of adapter 'cutie'"
    noun    what a name stands for: "key", "option"
    """

    place: str
    noun: str = "key"

    @classmethod
    def of(cls, where: str | Source) -> Source:
        """A file by its path, or a source as it is."""
        return cls(f" in {where}") if isinstance(where, str) else where

    def misfit(self, key: str, value: object, expected: str) -> InputError:
        """The sentence for a value that does not fit."""
        noun = "" if self.noun == "key" else f"{self.noun} "
        return InputError(f"{noun}{key}{self.place} is {value!r}, expected {expected}")


@dataclass(frozen=True)
class Key:
    """One key of a configuration, as a reference page shows it.

    name       with the keys above it: "fusion.rule"; "members[].prior" in a list of mappings
    type       in words: "whole number", "list of text", "text or nothing"
    default    the value, or `dataclasses.MISSING` where the key must be given
    limits     the bounds in words, empty where there are none
    doc        what the key means
    """

    name: str
    type: str
    default: Any
    limits: str
    doc: str


def keys(kind: type, prefix: str = "") -> Iterator[Key]:
    """Every key of a dataclass and of those within it, in the order of their definition."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, name = _without_none(hints[field.name]), f"{prefix}{field.name}"
        documented = _documented(field)
        inner = _item(hint) if typing.get_origin(hint) is tuple else hint
        factory = field.default_factory
        default = field.default if factory is MISSING else factory()
        limits = str(documented.limits)
        yield Key(name, type_name(hints[field.name]), default, limits, documented.doc)
        if dataclasses.is_dataclass(inner):
            yield from keys(typing.cast(type, inner), f"{name}." if inner is hint else f"{name}[].")


def type_name(hint: Any) -> str:
    """An annotated type in words."""
    inner = _without_none(hint)
    origin = typing.get_origin(inner)
    if origin is tuple or origin is Sequence:
        item = type_name(_item(inner))
        name = f"list of {item}" if item == _NAMES[str] else f"list of {item}s"
    elif (origin is not None and issubclass(origin, Mapping)) or dataclasses.is_dataclass(inner):
        name = "mapping"
    else:
        name = _NAMES.get(inner, getattr(inner, "__name__", str(inner)))
    return name if inner is hint else f"{name} or nothing"


def build(kind: type[Options], values: object, where: str | Source, prefix: str = "") -> Options:
    """A dataclass ``kind`` from a mapping, strictly.

    values   by key; of a dataclass within it a mapping or ``key.name`` entries
    where    the file that the values are from, or another `Source`

    A dataclass within it with a class method ``parse(value, where)`` makes itself. Raises
    `InputError`, one sentence, for a key that does not exist (with the nearest one), one that
    is missing, and a value of another type or out of bounds.
    """
    source = Source.of(where)
    if not isinstance(values, Mapping):
        raise InputError(f"{prefix.rstrip('.') or 'configuration'}{source.place} is no mapping")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, kind))}
    arguments = {}
    for key, value in _nested(values, hints).items():
        if key not in fields:
            valid = [f"{prefix}{name}" for name in fields]
            raise unknown(source.noun, f"{prefix}{key}", valid, source.place)
        limits = _documented(fields[key]).limits
        arguments[key] = convert(hints[key], value, f"{prefix}{key}", source, limits)
    for name, field in fields.items():
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and name not in arguments:
            whole = prefix.rstrip(".") or "configuration"
            raise InputError(f"{whole}{source.place} lacks '{name}': give it")
    return kind(**arguments)


def convert(
    hint: Any, value: object, key: str, where: str | Source, limits: Limits = NO_LIMITS
) -> Any:
    """``value`` as the annotated type ``hint``, or an `InputError` that says what was expected.

    A list may be given as one item, or as text with commas: ``a,b``.
    """
    source = Source.of(where)
    if (inner := _without_none(hint)) is not hint:
        return None if value is None else convert(inner, value, key, source, limits)
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint), value, key, where)
    origin = typing.get_origin(hint)
    if origin is tuple or origin is Sequence:
        return _sequence(hint, value, key, source, limits)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(hint, value, key, source, limits)
    return _scalar(hint, value, key, source, limits)


def one_of(key: str, value: str, valid: Iterable[str]) -> None:
    """`InputError`, with the valid names, where ``value`` is none of them."""
    if value not in valid:
        raise unknown(key, value, valid)


def _dataclass(kind: type, value: object, key: str, where: str | Source) -> Any:
    if isinstance(value, kind):
        return value
    if hasattr(kind, "parse"):
        return kind.parse(value, where if isinstance(where, str) else where.place.strip())
    if not isinstance(value, Mapping):
        raise Source.of(where).misfit(key, value, "a mapping")
    return build(kind, value, where, f"{key}.")


def _sequence(
    hint: Any, value: object, key: str, source: Source, limits: Limits
) -> tuple[Any, ...]:
    item = _item(hint)
    items: Sequence[object]
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        items = parts if item is str else [yaml.safe_load(part) for part in parts]
    elif isinstance(value, Sequence):
        items = value
    else:
        items = (value,)
    types_ = typing.get_args(hint)
    fixed = len(types_) if typing.get_origin(hint) is tuple and Ellipsis not in types_ else None
    if len(items) < limits.fewest or fixed not in (None, len(items)):
        count = f"a list of {fixed}" if fixed else f"a list of at least {limits.fewest}"
        raise source.misfit(key, value, count)
    return tuple(convert(item, one, key, source, limits) for one in items)


def _mapping(
    hint: Any, value: object, key: str, source: Source, limits: Limits
) -> dict[Any, object]:
    if not isinstance(value, Mapping):
        raise source.misfit(key, value, "a mapping")
    item = typing.get_args(hint)[1]
    if item in (Any, object):
        return dict(value)
    return {
        name: convert(item, one, f"{key}.{name}", source, limits) for name, one in value.items()
    }


def _scalar(hint: Any, value: object, key: str, source: Source, limits: Limits) -> Any:
    if hint is str:
        return _text(value, key, source, limits)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is float and number:
        value = float(typing.cast(float, value))
    fits = isinstance(value, hint) and (number or hint not in (int, float))
    if not fits or (number and not limits.take(typing.cast(float, value))):
        kind = _ONE.get(hint, getattr(hint, "__name__", str(hint)))
        bounds = str(limits)
        raise source.misfit(
            key, value, bounds if limits.multiple_of > 1 else f"{kind} {bounds}".rstrip()
        )
    return value


def _text(value: object, key: str, source: Source, limits: Limits) -> str:
    names = limits.names()
    if value is False and "off" in names:
        return "off"  # YAML takes an unquoted off for false
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if names and value not in names:
        raise unknown(key, str(value), names, source.place)
    if not isinstance(value, str):
        raise source.misfit(key, value, "text")
    return value


def _nested(values: Mapping[Any, object], hints: Mapping[str, object]) -> dict[str, object]:
    """Values in which ``long_term.top_k`` has become an entry of the mapping ``long_term``."""
    plain: dict[str, object] = {}
    dotted: list[tuple[str, str, object]] = []
    for key, value in values.items():
        head, dot, rest = str(key).partition(".")
        if dot and dataclasses.is_dataclass(_without_none(hints.get(head))):
            dotted.append((head, rest, value))
        else:
            plain[str(key)] = value
    for head, rest, value in dotted:
        given = plain.get(head, {})
        if dataclasses.is_dataclass(given) and not isinstance(given, type):
            given = dataclasses.asdict(given)
        if isinstance(given, Mapping):
            plain[head] = {**given, rest: value}
    return plain


def _documented(field: dataclasses.Field[Any]) -> _Documented:
    return field.metadata.get(_METADATA, _Documented("", NO_LIMITS))


def _item(hint: Any) -> Any:
    """The type of a list's items."""
    return typing.get_args(hint)[0]


def _without_none(hint: Any) -> Any:
    """``X`` of ``X | None``; any other type as it is."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint
