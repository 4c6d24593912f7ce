"""Adapter names and the classes behind them, imported when first used.

A third-party package adds an adapter through the entry-point group ``stseg.adapters``::

    [project.entry-points."stseg.adapters"]
    mymodel = "mypackage.adapter:MySegmenter"
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from adapters.base import Segmenter
from mose import InputError
from stseg.errors import unknown

ENTRY_POINT_GROUP = "stseg.adapters"

BUILT_IN = {
    "cutie": "adapters.cutie:CutieSegmenter",
    "flow": "adapters.flow:FlowSegmenter",
    "folder": "adapters.folder:FolderSegmenter",
    "hold": "adapters.hold:HoldSegmenter",
    "livos": "adapters.livos:LivosSegmenter",
    "sam2": "adapters.sam2:Sam2Segmenter",
    "tmo": "adapters.tmo:TMOSegmenter",
    "transformers": "adapters.transformers:TransformersSegmenter",
    "xmem": "adapters.xmem:XMemSegmenter",
}


def names() -> dict[str, str]:
    """All adapter names with their ``module:class``, the built-in ones first."""
    targets = dict(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        targets.setdefault(entry.name, entry.value)
    return targets


def check_name(name: str) -> None:
    """`InputError`, with the valid names, if there is no adapter of that name."""
    known = names()
    if name not in known:
        raise unknown("adapter", name, known)


def get(name: str) -> type[Segmenter]:
    """The class of an adapter; `InputError` if there is none of that name or it cannot load."""
    check_name(name)
    module_name, _, class_name = names()[name].partition(":")
    try:
        adapter = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise InputError(
            f"adapter '{name}' cannot be loaded from {module_name} ({error}):"
            " install what it needs, see python -m adapters list"
        ) from None
    if not (isinstance(adapter, type) and issubclass(adapter, Segmenter)):
        raise InputError(f"adapter '{name}': {names()[name]} is not a Segmenter")
    return adapter


def load(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> Segmenter:
    """A ready adapter: ``adapters.load("xmem", weights="XMem.pth", device="cpu", mem_every=5)``.

    weights   path of a checkpoint, or a name that `adapters.weights.resolve` knows
    """
    adapter = get(name)
    if weights is not None and adapter.needs_weights:
        from adapters.weights.store import (
            resolve,  # `python -m adapters.weights.store` imports this package
        )

        weights = resolve(weights)
    return adapter(weights=weights, device=device, **options)
