"""Numerical equality of TMO with its reference implementation.

Folders, weights and tolerance as in `test_parity`; a case is images and pictures of flow, and
the answer is one foreground per frame, from that frame alone: the suite runs the first ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity_cases import MISSING, TIE, TOLERANCE, description, folder, recipe

import adapters

MODELS = ("tmo-rn101", "tmo-mitb1")

SMALL = {("tmo-mitb1", "b_select"): 2}
"""Cases that the suite runs, and how many of their frames."""

ALL = 1_000_000


def found() -> Iterator[Any]:
    """One parameter per case and one per start of a small one; a model without a list of
    cases is one that fails."""
    for model in MODELS:
        try:
            names = [case["name"] for case in description(model)["cases"]]
        except FileNotFoundError:
            yield pytest.param(model, MISSING, ALL, id=f"{model}-{MISSING}")
            continue
        for name in names:
            whole = f"{model}-{name}"
            yield pytest.param(model, name, ALL, id=whole, marks=pytest.mark.parity)
            if (model, name) in SMALL:
                yield pytest.param(model, name, SMALL[model, name], id=f"{whole}-start")


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


@pytest.mark.parametrize(("model", "name", "frames"), list(found()))
def test_equals_the_reference(model, name, frames, load):
    case = next(c for c in description(model)["cases"] if c["name"] == name)
    expected = np.load(folder() / model / "cases" / f"{name}.npz")
    clip = case["clip"]
    seed, count, objects = clip["seed"], clip["frames"], clip["objects"]
    size = clip["height"], clip["width"]
    images, _ = recipe().synthetic_clip(seed, count, *size, objects)
    flow_size = case.get("flow_size") or clip.get("flow_size") or size
    pictures = recipe().synthetic_flow_image(seed, count, *flow_size, objects)
    segmenter = load(model, aos=case["aos"])

    answers = segmenter.predict(list(images[:frames]), list(pictures[:frames]), size)
    assert len(answers) == min(count, frames)
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
        assert chosen == case["selected"][:frames]
        confidence = [answer.confidence for answer in answers]
        np.testing.assert_allclose(
            confidence, case["confidence_image_flow"][:frames], rtol=TOLERANCE, atol=TOLERANCE
        )
    alone = segmenter.foreground(images[len(answers) - 1], pictures[len(answers) - 1])
    np.testing.assert_allclose(alone, answers[-1].foreground, atol=TOLERANCE)
