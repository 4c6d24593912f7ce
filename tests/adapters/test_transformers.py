"""SAM 3 and SAM 2 of package ``transformers`` against the package's own loop over a video."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam2
import tiny_transformers
import torch

import adapters
from adapters.transformers.loading import load as load_model
from adapters.transformers.network import TransformersConfig
from adapters.transformers.segmenter import TransformersSegmenter
from mose import InputError, Video

pytestmark = pytest.mark.usefixtures("one_thread")

FRAMES = 17
"""Longer than memory and the window of object pointers."""

PICTURES, MASKS = tiny_sam2.discs(FRAMES)
FIRST = np.where(MASKS[0] == 4, 4, 0).astype(np.uint8)
LATER = np.where(MASKS[3] != 4, MASKS[3], 0).astype(np.uint8)
CASES = {"one": {0: FIRST}, "three": {0: MASKS[0]}, "late": {0: FIRST, 3: LATER}}
IMAGENET = [torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
HALF = [torch.tensor(0.5)] * 2


SCORES = {"sam3": -2.7, "sam2": -0.66, "edgetam": -0.5}
"""Added to object scores, so that objects come and go."""


@pytest.fixture(scope="module", params=SCORES)
def network(request, tmp_path_factory) -> tuple[Any, Path, list[torch.Tensor]]:
    """A network whose objects come and go, its file, and its mean and deviation."""
    model = getattr(tiny_transformers, request.param)(SCORES[request.param])
    path = tiny_transformers.save(model, tmp_path_factory.mktemp(request.param))
    return model, path, HALF if request.param == "sam3" else IMAGENET


@pytest.fixture(scope="module")
def sam3(tmp_path_factory) -> Path:
    model = tiny_transformers.sam3(-2.7)
    return tiny_transformers.save(model, tmp_path_factory.mktemp("sam3"))


def tolerance(logits: np.ndarray) -> float:
    """What float32 and memory make of logits of thousands: on one and on two threads the package's
    own answers are up to 7e-6 of the largest logit apart."""
    return max(1e-4, 2e-5 * float(np.abs(logits).max(initial=0)))


@pytest.mark.parametrize(
    "case", ["late", *(pytest.param(name, marks=pytest.mark.slow) for name in ("one", "three"))]
)
def test_equals_the_package(network, case):
    model, path, normal = network
    video = Video.from_arrays(np.stack(PICTURES), CASES[case])
    expected = tiny_transformers.package_run(model, PICTURES, CASES[case], *normal)
    there = []
    for frame in adapters.load("transformers", weights=path).segment(video):
        theirs = [expected[frame.index, object_id] for object_id in frame.object_ids]
        wanted = np.array([logits for logits, _ in theirs])
        np.testing.assert_allclose(frame.native, wanted, atol=tolerance(wanted), rtol=0)
        presence = [1 / (1 + np.exp(-score)) for _, score in theirs]
        np.testing.assert_allclose(frame.presence, presence, atol=1e-5)
        assert ((frame.confidence >= 0) & (frame.confidence <= 1)).all()
        there += [score > 0 for _, score in theirs]
    assert len(video.object_ids) < sum(there) < len(there)  # objects come and go


def test_has_the_memories_of_sam_2(sam3):
    video = Video.from_arrays(np.stack(PICTURES[:5]), {0: MASKS[0]})
    plain, other = (
        list(adapters.load("transformers", weights=sam3, memory=name).segment(video))
        for name in ("window", "tree")
    )
    assert any(not np.array_equal(a.native, b.native) for a, b in zip(plain, other, strict=True))


def test_a_correction_changes_what_follows(sam3):
    video = Video.from_arrays(np.stack(PICTURES[:6]), {0: MASKS[0]})
    segmenter = adapters.load("transformers", weights=sam3)
    corrected = video.with_corrections({3: (MASKS[3] * (MASKS[3] == 4)).astype(np.uint8)})
    plain, other = (list(segmenter.segment(each)) for each in (video, corrected))
    assert other[3].presence[other[3].object_ids.index(4)] > 0.99
    assert not np.array_equal(plain[4].native, other[4].native)
    np.testing.assert_array_equal(plain[2].native, other[2].native)


class Endless:
    """Frames that are made when they are asked for."""

    def __init__(self, frames: int):
        self._frames = frames

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: int) -> np.ndarray:
        return PICTURES[index % FRAMES]


def tensors_held(segmenter: adapters.Segmenter, frames: int) -> int:
    """Bytes of all tensors there are before the last frame."""
    one = Video.from_arrays(np.stack(PICTURES[:1]), {0: FIRST})
    answers = segmenter.segment(one.over(Endless(frames)))
    for _ in range(frames - 1):
        next(answers)
    gc.collect()
    held = [each for each in gc.get_objects() if type(each) is torch.Tensor]
    return sum(each.untyped_storage().nbytes() for each in held)


def test_memory_does_not_grow(sam3):
    segmenter = adapters.load("transformers", weights=sam3)
    few, many = (tensors_held(segmenter, frames) for frames in (17, 25))
    assert many <= 1.1 * few


def answers(weights: Path, **options: Any) -> list[Any]:
    video = Video.from_arrays(np.stack(PICTURES[:4]), {0: MASKS[0]})
    segmenter = adapters.load("transformers", weights=weights, **options)
    frames = list(segmenter.segment(video))
    return [*frames, segmenter.notes]


def test_half_precision_runs_on_a_cpu(sam3):
    *plain, _ = answers(sam3)
    *half, _ = answers(sam3, amp="bf16")
    apart = [np.abs(a.native - b.native).mean() for a, b in zip(plain, half, strict=True)]
    assert max(apart) > 0
    assert all(off <= 0.2 * a.native.std() for off, a in zip(apart, plain, strict=True))
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        answers(sam3, amp="fp16")


def test_what_cannot_be_compiled_runs_uncompiled_and_says_so(sam3, monkeypatch):
    def failing(function):
        def run(*given, **named):
            raise RuntimeError("no compiler here")

        return run

    *plain, _ = answers(sam3)
    monkeypatch.setattr(torch, "compile", failing)
    *others, notes = answers(sam3, compile=True)
    assert notes == ["torch.compile failed and the network runs uncompiled: no compiler here"]
    for a, b in zip(plain, others, strict=True):
        np.testing.assert_array_equal(a.native, b.native)


def test_what_is_compiled_is_the_image_encoder_and_the_memory(sam3, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or function)
    *_, notes = answers(sam3, compile=True)
    assert (len(compiled), notes) == (3, [])


class TestWhatDoesNotFit:
    def sentence(self, weights: Path, **options: Any) -> str:
        with pytest.raises(InputError) as caught:
            adapters.load("transformers", weights=weights, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def copy(self, sam3: Path, folder: Path) -> Path:
        for file in sam3.parent.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder / sam3.name

    def test_the_configuration(self, sam3, tmp_path):
        weights = self.copy(sam3, tmp_path)
        config = tmp_path / "config.json"
        values = json.loads(config.read_text())
        config.write_text(json.dumps(values | {"model_type": "sam3_tracker_vide"}))
        assert "did you mean" in self.sentence(weights)
        config.write_text("{")
        assert "no configuration of transformers" in self.sentence(weights)
        config.unlink()
        assert "config.json is missing" in self.sentence(weights)

    def test_weights_that_are_missing(self, sam3, tmp_path):
        from safetensors.torch import load_file, save_file

        weights = self.copy(sam3, tmp_path)
        state = load_file(weights)
        (name,) = (name for name in state if name.endswith("mask_downsample.bias"))
        del state[name]
        save_file(state, weights, metadata={"format": "pt"})
        assert "1 weights are missing, the first is mask_downsample.bias" in self.sentence(weights)

    def test_the_package(self, sam3, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "transformers", None)
        assert "pip install transformers==5.24.0" in self.sentence(sam3)

    def test_another_working_size(self, sam3):
        assert "own size" in self.sentence(sam3, short_side=480)


def test_works_at_no_other_size():
    with pytest.raises(InputError, match="own size"):
        TransformersSegmenter.parse_options({"scales": [1.0, 1.5]})


def test_the_configuration_is_read_off_the_model(sam3):
    config = TransformersConfig.of(load_model(sam3))
    assert (config.image_size, config.patch_size, config.half) == (112, 14, True)
    assert (config.sigmoid_scale, config.sigmoid_bias) == (20.0, -10.0)
