"""Parts of SAM 2's adapter: configurations, merging, holes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tiny_sam2 import CONVOLUTIONAL, SMALLEST, WIDER

from adapters.sam2.config import OFFICIAL, Sam2Config, discover
from adapters.sam2.holes import fill_holes
from adapters.sam2.model import build
from adapters.sam2.scaling import ABSENT_LOGIT, ObjectMask, Scaling, merged
from mose import InputError

PUBLISHED = {  # of SAM 2.1: entries of the checkpoint, and millions of numbers in them
    "tiny": (471, 38.96),
    "small": (519, 46.06),
    "base-plus": (615, 80.85),
    "large": (903, 224.45),
}


def shapes_of(config: Sam2Config) -> dict[str, tuple[int, ...]]:
    """Of a network that takes no memory."""
    real = torch.linspace  # its numbers are read while the package builds
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr(torch, "linspace", lambda *given: real(*given, device="cpu"))
        state = build(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


class TestConfig:
    @pytest.mark.parametrize("name", OFFICIAL)
    def test_published_networks_are_known_by_their_shapes(self, name):
        shapes = shapes_of(OFFICIAL[name])
        assert discover(shapes, "x.pt") == OFFICIAL[name]
        assert discover(shapes, "x.pt", name=name) == OFFICIAL[name]
        version, _, size = name.removeprefix("sam").partition("-hiera-")
        if version == "2.1":
            numbers = sum(int(np.prod(shape)) for shape in shapes.values())
            assert (len(shapes), round(numbers / 1e6, 2)) == PUBLISHED[size]

    @pytest.mark.parametrize(
        "config", [SMALLEST, WIDER, CONVOLUTIONAL], ids=["smallest", "wider", "convolutional"]
    )
    def test_others_say_what_they_are(self, config):
        shapes = shapes_of(config)
        assert discover(shapes, "x.pt", stored=config.json()) == config
        assert discover(shapes, "x.pt", stored=dataclasses.asdict(config)) == config
        with pytest.raises(InputError, match=r"x\.pt is a SAM 2 network of unknown size"):
            discover(shapes, "x.pt")

    def test_what_is_stored_must_fit(self):
        shapes = shapes_of(SMALLEST)
        for stored, part in (
            (WIDER.json(), "does not fit the stored configuration: its embed_dim is 8, not 24"),
            ("{", "the SAM 2 configuration stored in x.pt cannot be read"),
            ({"embed_dims": 8}, "did you mean 'embed_dim'"),
            ({"image_size": "big"}, "image_size of the configuration in x.pt is 'big', expected"),
        ):
            with pytest.raises(InputError, match=r"x\.pt") as caught:
                discover(shapes, "x.pt", stored=stored)
            assert part in str(caught.value)
        with pytest.raises(InputError, match=r"x\.pt holds no SAM 2 network"):
            discover({"fc.weight": (3, 4)}, "x.pt")

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            ({"image_size": 100}, "100 is no multiple of 32"),
            ({"stages": (1, 2, 3)}, "four numbers"),
            ({"global_blocks": (1,)}, "starts a stage"),
            ({"memory_dim": 48}, "no multiple of 32 and of memory_dim 48"),
            ({"version": "3"}, "neither 2 nor 2.1"),
        ],
    )
    def test_impossible_networks(self, change: dict[str, Any], part):
        with pytest.raises(InputError, match=part):
            dataclasses.replace(OFFICIAL["sam2.1-hiera-tiny"], **change)


def answer(logit: float, presence: float, confidence: float) -> ObjectMask:
    return ObjectMask(np.full((2, 3), logit, np.float32), presence > 0.5, presence, confidence)


class TestMerging:
    def test_one_answer_stays_as_it_is(self):
        one = answer(1.0, 0.9, 0.8)
        assert merged([one], [3.0]) is one

    def test_those_that_see_the_object_are_averaged_by_confidence(self):
        result = merged([answer(2.0, 0.9, 0.6), answer(-1.0, 0.8, 0.3)], [1.0, 2.0])
        expected = 0.5 / (1 + np.exp(-2.0)) + 0.5 / (1 + np.exp(1.0))
        np.testing.assert_allclose(1 / (1 + np.exp(-result.logits)), expected, rtol=1e-5)
        assert result.visible
        assert result.presence == pytest.approx((0.9 + 2 * 0.8) / 3)
        assert result.confidence == pytest.approx(0.45)

    def test_the_majority_of_weight_says_whether_it_is_there(self):
        unsure, gone = answer(1.0, 0.6, 0.2), answer(ABSENT_LOGIT, 0.1, 0.0)
        result = merged([unsure, gone], [1.0, 1.0])
        assert not result.visible
        assert (result.logits == ABSENT_LOGIT).all()
        assert (result.presence, result.confidence) == (pytest.approx(0.35), 0.0)
        heavier = merged([unsure, gone], [10.0, 1.0])
        assert heavier.visible
        np.testing.assert_allclose(heavier.logits, 1.0, rtol=1e-5)

    def test_which_objects_a_configuration_follows(self):
        cases = [(0.001, 1), (0.1, 5), (0.1, 4)]
        fits = {
            objects: [Scaling(objects=objects).fits(*case) for case in cases]
            for objects in ("all", "small", "dense")
        }
        assert fits == {
            "all": [True, True, True],
            "small": [True, False, False],
            "dense": [False, True, False],
        }


def test_fills_small_holes_alone():
    logits = np.full((2, 8, 9), 3.0, np.float32)
    logits[0, 2:4, 2:4] = -1.0  # a hole of 4 pixels
    logits[0, 6, 1] = logits[0, 7, 2] = 0.0  # of two that touch at a corner
    logits[1, 1:4, 1:4] = -2.0  # of 9
    before = logits.copy()
    filled = fill_holes(logits, 4)
    assert np.array_equal(logits, before)
    changed = filled != before
    assert changed.sum() == 6
    assert (filled[changed] == np.float32(0.1)).all()
    assert (fill_holes(logits, 9) > 0).all()
