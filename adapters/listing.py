"""Describes adapters without importing them.

An adapter's class data are literals, so they are read from its source. The list of adapters imports
no network, and names the adapters whose dependencies are missing.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from adapters.base import Segmenter
from adapters.registry import ENTRY_POINT_GROUP, names

DISTRIBUTION = "stseg"
DESCRIBED = ("summary", "extra", "needs_weights")


@dataclass(frozen=True)
class Description:
    """An adapter as the list shows it.

    needs_weights   whether a checkpoint must be given
    extra           the extra of the distribution that it needs, or None
    distribution    the distribution that brings the adapter
    missing         distributions that its extra asks for and that are not installed
    """

    name: str
    summary: str
    needs_weights: bool
    extra: str | None
    distribution: str
    missing: tuple[str, ...]


def describe_all() -> list[Description]:
    """All adapters, built in and third-party, by name."""
    owners = {
        entry.name: entry.dist.name
        for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)
        if entry.dist is not None
    }
    return [
        describe(name, target, owners.get(name, DISTRIBUTION))
        for name, target in sorted(names().items())
    ]


def describe(name: str, target: str, distribution: str = DISTRIBUTION) -> Description:
    """The description of the class ``module:class``, whose dependencies ``distribution`` lists."""
    module, _, class_name = target.partition(":")
    data = {key: getattr(Segmenter, key) for key in DESCRIBED} | class_data(module, class_name)
    missing = missing_of(distribution, data["extra"]) if data["extra"] else ()
    return Description(name=name, distribution=distribution, missing=missing, **data)


def class_data(module: str, class_name: str) -> dict[str, object]:
    """The literals that a class assigns to `DESCRIBED`, following ``from ... import``.

    Empty if the source or the class is missing: a broken third-party adapter is still listed, and
    loading it says what is wrong.
    """
    path = _source(module)
    tree = ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return dict(_literals(node))
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == class_name:
                    return class_data(node.module, alias.name)
    return {}


def _literals(node: ast.ClassDef) -> list[tuple[str, object]]:
    return [
        (target.id, ast.literal_eval(statement.value))
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id in DESCRIBED
    ]


def _source(module: str) -> Path | None:
    """The file of a module. Only the top package is looked up, so nothing is imported."""
    top, *inner = module.split(".")
    spec = find_spec(top)
    if spec is None or not inner:
        return Path(spec.origin) if spec is not None and spec.origin else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *inner)
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path
    return None


def missing_of(distribution: str, extra: str) -> tuple[str, ...]:
    """The distributions that an extra asks for and that are not installed."""
    try:
        required = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return (distribution,)
    wanted = [line for line in required if re.search(rf"""extra\s*==\s*["']{extra}["']""", line)]
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in wanted)
    return tuple(name.group() for name in names if name and not _installed(name.group()))


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
