"""Numerical equality with the reference implementations.

The cases lie in the folder of ``STSEG_PARITY_FIXTURES`` where that is set, else in
``../shared/fixtures/parity``, else in ``tests/fixtures/parity``, a small selection. Every
case that a folder lists is one test; the suite runs the small ones, ``pytest -m parity`` the
others. Weights are made by the folder's ``recipe.py``, saved as an ordinary
checkpoint and loaded by name, as a user loads the published ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_cases import MISSING, TIE, TOLERANCE, description, folder, recipe

import adapters
from mose import Video

pytestmark = pytest.mark.usefixtures("one_thread")


def vos_options(case: dict[str, Any]) -> dict[str, Any]:
    """Options of a case; the reference's names are ours, and without a size nothing is resized."""
    options = {**case["config"], "size": case.get("size", -1)}
    return options | ({"flip": True} if case.get("flip") else {})


@dataclass(frozen=True)
class Model:
    """A folder of cases.

    adapter   that answers them
    small     cases that the default run of the tests has; quick ones, of different mechanisms
    options   of a case
    """

    adapter: str
    small: tuple[str, ...]
    options: Callable[[dict[str, Any]], dict[str, Any]] = vos_options


MODELS = {
    "xmem": Model("xmem", ("c_late", "e_flip")),
    "cutie-base": Model("cutie", ("c_late",)),
    "cutie-small": Model("cutie", ("e_flip", "j_chunk")),
    "livos": Model("livos", ("c_late",)),
}


def found() -> list[Any]:
    """One parameter per case; a model without a list of cases is one that fails."""
    parameters = []
    for model, about in MODELS.items():
        try:
            names = [case["name"] for case in description(model)["cases"]]
        except FileNotFoundError:
            names = [MISSING]
        for name in names:
            marks = [] if name in (*about.small, MISSING) else [pytest.mark.parity]
            parameters.append(pytest.param(model, name, id=f"{model}-{name}", marks=marks))
    return parameters


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Callable[[str], Path]:
    """Model -> its seeded weights in a file, made once."""
    place = tmp_path_factory.mktemp("weights")

    def make(model: str) -> Path:
        path = place / f"{model}.pth"
        if not path.exists():
            manifest = json.loads((folder() / model / "manifest.json").read_text())
            seed = description(model)["weights_seed"]
            torch.save(recipe().seeded_state_dict(manifest, seed), path)
        return path

    return make


@pytest.mark.parametrize(("model", "name"), found())
def test_equals_the_reference(model, name, checkpoint):
    case = next(c for c in description(model)["cases"] if c["name"] == name)
    expected = np.load(folder() / model / "cases" / f"{name}.npz")
    clip = case["clip"]
    size = clip["height"], clip["width"]
    images, _ = recipe().synthetic_clip(clip["seed"], clip["frames"], *size, clip["objects"])
    prompts = {int(t): expected[f"mask_{t}"] for t in case["masks"]}
    options = MODELS[model].options(case)
    segmenter = adapters.load(MODELS[model].adapter, weights=checkpoint(model), **options)

    answers = segmenter.segment(Video.from_arrays(images, prompts))
    order = sorted(case["object_order"], key=case["object_order"].__getitem__)
    for index, frame in enumerate(answers):
        channels = int(expected["channels"][index])
        ids = [int(i) for i in order[: max(channels - 1, 0)]]
        assert sorted(frame.object_ids) == sorted(ids)
        if not channels:
            continue
        positions = [frame.object_ids.index(i) for i in ids]
        probabilities = frame.probabilities(*size)[positions]
        joint = np.concatenate([1 - probabilities.sum(axis=0, keepdims=True), probabilities])
        step = case["prob_stride"]
        wanted = expected["prob_q16"][index, :channels].astype(np.float32) / 65535
        worst = np.abs(joint[:, ::step, ::step] - wanted).max()
        assert worst <= TOLERANCE, f"frame {index}: {worst}"
        second, best = np.sort(joint, axis=0)[-2:]
        differ = frame.labels(*size) != expected["ids"][index]
        assert not (differ & (best - second > TIE)).any(), f"frame {index}"
    assert index == clip["frames"] - 1
