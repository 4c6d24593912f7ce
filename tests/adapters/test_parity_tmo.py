"""Numerical equality of TMO with its reference implementation.

Folders, weights and tolerance as in `test_parity`; a case is images and pictures of flow, and
the answer is one foreground per frame.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_parity import TIE, TOLERANCE, description, folder, recipe

import adapters

MODELS = ("tmo-rn101", "tmo-mitb1")

SMALL = {("tmo-rn101", "c_large"), ("tmo-mitb1", "b_select")}
"""Cases that the suite runs."""


def found() -> Iterator[Any]:
    """One parameter per case; a model without a list of cases is one that fails."""
    for model in MODELS:
        try:
            names = [case["name"] for case in description(model)["cases"]]
        except FileNotFoundError:
            names = ["cases.json is missing"]
        for name in names:
            marks = [] if (model, name) in SMALL or " " in name else [pytest.mark.parity]
            yield pytest.param(model, name, id=f"{model}-{name}", marks=marks)


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Callable[..., adapters.Segmenter]:
    """Model and options -> the adapter with seeded weights from a checkpoint in a file."""
    place = tmp_path_factory.mktemp("weights")

    def make(model: str, **options: Any) -> adapters.Segmenter:
        path: Path = place / f"{model}.pth"
        if not path.exists():
            manifest = json.loads((folder() / model / "manifest.json").read_text())
            seed = description(model)["weights_seed"]
            torch.save(recipe().seeded_state_dict(manifest, seed), path)
        return adapters.load("tmo", weights=path, **options)

    return make


@pytest.mark.parametrize(("model", "name"), list(found()))
def test_equals_the_reference(model, name, load):
    case = next(c for c in description(model)["cases"] if c["name"] == name)
    expected = np.load(folder() / model / "cases" / f"{name}.npz")
    clip = case["clip"]
    seed, count, objects = clip["seed"], clip["frames"], clip["objects"]
    size = clip["height"], clip["width"]
    images, _ = recipe().synthetic_clip(seed, count, *size, objects)
    flow_size = case.get("flow_size") or clip.get("flow_size") or size
    pictures = recipe().synthetic_flow_image(seed, count, *flow_size, objects)
    segmenter = load(model, aos=case["aos"])

    answers = segmenter.predict(list(images), list(pictures), size)
    assert len(answers) == count
    step = case["prob_stride"]
    for index, answer in enumerate(answers):
        foreground = answer.foreground
        wanted = expected["foreground_q16"][index].astype(np.float32) / 65535
        worst = np.abs(foreground[::step, ::step] - wanted).max()
        assert worst <= TOLERANCE, f"frame {index}: {worst}"
        differ = (foreground > 0.5) != expected["masks"][index].astype(bool)
        assert not (differ & (np.abs(2 * foreground - 1) > TIE)).any(), f"frame {index}"
    if case["aos"]:
        chosen = ["image" if answer.from_image else "flow" for answer in answers]
        assert chosen == case["selected"]
        confidence = [answer.confidence for answer in answers]
        np.testing.assert_allclose(
            confidence, case["confidence_image_flow"], rtol=TOLERANCE, atol=TOLERANCE
        )
    alone = segmenter.foreground(images[-1], pictures[-1])
    np.testing.assert_allclose(alone, answers[-1].foreground, atol=TOLERANCE)
