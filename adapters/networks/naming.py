"""State-dict names of published checkpoints to the project's own names, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class Naming:
    """A table of name templates, read in both directions.

    pairs   ``(ours, official)``; in both, ``#`` stands for a number and ``~`` for the rest
            of the name, in the same order on the two sides. The first match wins.

    A name that no template matches stays as it is, so that strict loading reports it.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]):
        pairs = list(pairs)
        self._ours = [(_pattern(official), _replacement(ours)) for ours, official in pairs]
        self._official = [(_pattern(ours), _replacement(official)) for ours, official in pairs]

    def from_official(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """The state with the project's names."""
        return {_renamed(name, self._ours): value for name, value in state.items()}

    def to_official(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """The state with the names of the published checkpoint."""
        return {_renamed(name, self._official): value for name, value in state.items()}


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\#", r"(\d+)").replace(r"\~", "(.+)"))


def _replacement(template: str) -> str:
    return re.sub("[#~]", "{}", template)


def _renamed(name: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        if match := pattern.fullmatch(name):
            return replacement.format(*match.groups())
    return name
