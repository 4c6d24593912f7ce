"""Where the cases of equality with the reference implementations lie, see `test_parity`."""

from __future__ import annotations

import importlib.util
import json
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLACES = (ROOT.parent / "shared" / "fixtures" / "parity", ROOT / "tests" / "fixtures" / "parity")

TOLERANCE = 5e-4
"""Of probabilities."""

TIE = 1e-3
"""Ids may differ where the two best probabilities are as close as this."""


MISSING = "cases.json is missing"


def folder() -> Path:
    named = os.environ.get("STSEG_PARITY_FIXTURES")
    return Path(named) if named else next(place for place in PLACES if place.is_dir())


@cache
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_recipe", folder() / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def description(model: str) -> dict[str, Any]:
    return json.loads((folder() / model / "cases.json").read_text())
