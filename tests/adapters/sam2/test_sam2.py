"""SAM 2's adapter beyond the contract: options, what they change, and what can be missing."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sam2
import tiny_xmem
import torch
from safetensors.torch import save_file
from tiny_sam2 import SMALLEST

import adapters
from adapters.base import FrameMasks
from adapters.sam2.package import sam2_module
from adapters.shared.testtime import mirrored
from mose import InputError, Video

pytestmark = pytest.mark.usefixtures("one_thread")

PICTURES, MASKS = tiny_sam2.discs(10)
VIDEO = Video.from_arrays(np.stack(PICTURES), {0: MASKS[0]})
LATE = Video.from_arrays(
    np.stack(PICTURES), {0: MASKS[0] * (MASKS[0] == 4), 2: MASKS[2] * (MASKS[2] == 1)}
)

Load = Callable[..., adapters.Segmenter]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Of a network whose objects come and go."""
    state = tiny_sam2.weights(SMALLEST, score=tiny_sam2.COMING_AND_GOING)
    return tiny_sam2.save(tmp_path_factory.mktemp("sam2"), SMALLEST, state)


@pytest.fixture(scope="module")
def load(weights) -> Load:
    return lambda **options: adapters.load("sam2", weights=weights, **options)


@pytest.fixture(scope="module")
def plain(load) -> list[FrameMasks]:
    """The answers to `VIDEO` without any option."""
    return run(load())


def run(segmenter: adapters.Segmenter, video: Video = VIDEO) -> list[FrameMasks]:
    return list(segmenter.segment(video))


def same(one: FrameMasks, other: FrameMasks) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("object_ids", "presence", "confidence", "native")
    )


def all_same(some: list[FrameMasks], others: list[FrameMasks]) -> bool:
    return all(itertools.starmap(same, zip(some, others, strict=True)))


def network_of(segmenter: Any) -> Any:
    return segmenter._at_scale(1.0)


class TestMaskScaling:
    def test_scales_what_memory_gets_and_nothing_else(self, load):
        """The same pixels and answers go in; what the memory encoder is fed differs as asked."""
        answers, pixels, masks = {}, {}, {}
        for scale, bias in ((20.0, -10.0), (7.5, -4.0)):
            segmenter = load(sigmoid_scale=scale, sigmoid_bias=bias)
            fed: list[Any] = []
            encoder = network_of(segmenter).model.memory_encoder
            encoder.register_forward_pre_hook(lambda module, given, fed=fed: fed.append(given))
            answers[scale] = run(segmenter)
            pixels[scale] = torch.cat([image for image, _ in fed])
            masks[scale] = torch.cat([(mask - bias) / scale for _, mask in fed])
        assert same(answers[20.0][0], answers[7.5][0])
        assert not same(answers[20.0][1], answers[7.5][1])
        assert torch.equal(pixels[20.0], pixels[7.5])
        # Of the given masks the same probabilities, from those of logits -10 to those of 10.
        first = [masks[scale][:3] for scale in masks]
        torch.testing.assert_close(*first, atol=1e-5, rtol=0)
        assert first[0].aminmax() == pytest.approx((4.5e-5, 1 - 4.5e-5), abs=1e-5)

    def test_configurations_merge_per_object(self, load, plain):
        """One that follows nobody here changes nothing; two alike are one."""
        stock = {"sigmoid_scale": 20.0, "sigmoid_bias": -10.0}
        nobody = {"sigmoid_scale": 7.5, "sigmoid_bias": -4.0, "objects": "dense"}
        assert all_same(run(load(merge=[stock, nobody])), plain)
        for twice, once in zip(run(load(merge=[stock, stock])), plain, strict=True):
            masks = [frame.probabilities(60, 80) for frame in (twice, once)]
            np.testing.assert_allclose(*masks, atol=1e-6)

    def test_small_objects_have_their_own(self, load):
        small = {"sigmoid_scale": 7.5, "sigmoid_bias": -4.0, "objects": "small"}
        given = np.where(MASKS[0] == 1, 1, 0).astype(np.uint8)
        given[50:52, 70:74] = 9  # 8 of 4800 pixels
        video = Video.from_arrays(np.stack(PICTURES), {0: given})
        stock = {"sigmoid_scale": 20.0, "sigmoid_bias": -10.0}
        alone, both = run(load(), video), run(load(merge=[stock, small]), video)
        assert alone[0].object_ids == (1, 9)
        equal = [
            [np.array_equal(a.native[row], b.native[row]) for row in (0, 1)]
            for a, b in zip(alone, both, strict=True)
        ]
        assert all(large for large, _ in equal)
        assert not all(small for _, small in equal)


class TestReliableMemory:
    def test_changes_an_object_only_after_its_first_disappearance(self, load, plain):
        reliable = run(load(rcms_frames=4, rcms_quality=0.0))
        changed = False
        for row in range(3):
            gone = [frame.index for frame in plain if frame.presence[row] <= 0.5]
            until = gone[0] if gone else len(plain)
            for one, other in zip(plain, reliable, strict=True):
                if one.index <= until:
                    assert np.array_equal(one.native[row], other.native[row])
                    assert one.confidence[row] == other.confidence[row]
                changed |= not np.array_equal(one.native[row], other.native[row])
                changed |= one.presence[row] != other.presence[row]
        assert changed

    def test_without_reliable_frames_changes_nothing(self, load, plain):
        assert all_same(plain, run(load(rcms_frames=4, rcms_quality=1.0)))

    def test_without_a_disappearance_changes_nothing(self, tmp_path):
        path = tiny_sam2.save(tmp_path, SMALLEST, tiny_sam2.weights(SMALLEST, score=9.0))
        plain = run(adapters.load("sam2", weights=path))
        assert all((frame.presence > 0.5).all() for frame in plain)
        assert all_same(plain, run(adapters.load("sam2", weights=path, rcms_frames=4)))


def test_two_members_with_different_options_live_side_by_side(load, plain):
    options: list[dict[str, Any]] = [{}, {"sigmoid_scale": 7.5, "sigmoid_bias": -4.0}]
    alone = [plain, run(load(**options[1]))]
    assert not all_same(*alone)
    both = [load(**each) for each in options]
    together = list(zip(*(segmenter.segment(VIDEO) for segmenter in both), strict=True))
    for number, expected in enumerate(alone):
        assert all_same([frames[number] for frames in together], expected)


@pytest.mark.parametrize(("enlarge", "side"), [(0, 128), (1, 64), (1.5, 96), (3, 128)])
def test_small_frames_are_enlarged_as_often_as_said(load, enlarge, side):
    """The native answer is a quarter of the working size."""
    rows = np.stack(PICTURES[:2])[:, :64]
    video = Video.from_arrays(rows, {0: MASKS[0][:64]})
    frame = run(load(short_side=128, enlarge=enlarge), video)[1]
    assert frame.native.shape[-2:] == (side // 4, side // 4)


@pytest.mark.parametrize("size", [1, 2])
def test_chunks_change_nothing(load, size):
    assert all_same(run(load(chunk_size=size), LATE), run(load(), LATE))


def test_flip_and_scales_average(load, plain):
    size = VIDEO.height, VIDEO.width
    parts = [plain, run(load(scales=[1.5]))]
    assert parts[1][0].native.shape[1:] == (24, 24)
    averaged = run(load(scales=[1.0, 1.5]))
    for one, other, mean in zip(*parts, averaged, strict=True):
        expected = (one.probabilities(*size) + other.probabilities(*size)) / 2
        np.testing.assert_allclose(mean.probabilities(*size), expected, atol=1e-5)
    turned = run(load(), mirrored(VIDEO))
    for one, other, mean in zip(plain, turned, run(load(flip=True)), strict=True):
        expected = (one.probabilities(*size) + other.probabilities(*size)[..., ::-1]) / 2
        np.testing.assert_allclose(mean.probabilities(*size), expected, atol=1e-5)


def test_bfloat16_stays_near(load, plain):
    for half, full in zip(run(load(amp="bf16"))[:2], plain[:2], strict=True):
        np.testing.assert_allclose(half.presence, full.presence, atol=0.05)
        assert half.native.dtype == np.float32


def test_runs_uncompiled_where_compiling_fails(load, plain, monkeypatch):
    def broken(function: Any, **options: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            raise RuntimeError("no compiler here\nand more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    segmenter = load(compile=True)
    assert all_same(run(segmenter), plain)
    assert segmenter.notes == [
        "torch.compile failed and the network runs uncompiled: no compiler here"
    ]


def test_holes_are_filled(load, plain):
    filled = run(load(hole_area=40))
    assert np.array_equal(plain[0].native, filled[0].native)  # discs have none
    more = [(b.native > 0).sum() - (a.native > 0).sum() for a, b in zip(plain, filled, strict=True)]
    assert more[1] >= 0
    assert any(count > 0 for count in more)


HYDRA = """
import sys
from pathlib import Path
import adapters, ensemble.run, selection.evaluate.command
assert "hydra" not in sys.modules and "sam2" not in sys.modules
sys.path.insert(0, {tests!r})
import numpy as np, tiny_sam2
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from mose import Video
pictures, masks = tiny_sam2.discs(2)
video = Video.from_arrays(np.stack(pictures), {{0: masks[0]}})
members = [adapters.load("sam2", weights={weights!r}, sigmoid_scale=s) for s in (20.0, 7.5)]
for member in members:
    list(member.segment(video))
assert "sam2" in sys.modules
assert not GlobalHydra.instance().is_initialized()
with initialize_config_dir({folder!r}, version_base=None):
    host = GlobalHydra.instance().hydra
    list(adapters.load("sam2", weights={weights!r}).segment(video))
    assert GlobalHydra.instance().hydra is host
"""


def test_hydra_is_left_alone(weights):
    """Before, beside and after a host program's own."""
    code = HYDRA.format(
        tests=str(Path(__file__).parents[2]), weights=str(weights), folder=str(weights.parent)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestWhatIsMissing:
    def sentence(self, call: Callable[[], Any]) -> str:
        with pytest.raises(InputError) as caught:
            call()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("package", ["sam2", "hydra"])
    def test_the_package(self, load, package, monkeypatch):
        for name in [n for n in sys.modules if n.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)
        said = self.sentence(lambda: sam2_module("modeling.sam2_base"))
        assert said.startswith("adapter 'sam2' needs the package sam2, which cannot be imported")
        assert "pip install" in said
        assert self.sentence(load) == said

    def test_the_gpu(self, load, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        said = self.sentence(lambda: load(device="cuda"))
        assert said == "device 'cuda' is not there: use --device cpu or another GPU machine"

    def test_another_network(self, tmp_path):
        torch.save(tiny_xmem.official(), tmp_path / "xmem.pth")
        said = self.sentence(lambda: adapters.load("sam2", weights=tmp_path / "xmem.pth"))
        assert "xmem.pth is no SAM 2 checkpoint, it looks like XMem" in said

    def test_another_size_than_named(self, load):
        said = self.sentence(lambda: load(network="sam2.1-hiera-large"))
        assert "does not fit configuration sam2.1-hiera-large: its embed_dim is 8, not 144" in said
        assert "did you mean" in self.sentence(lambda: load(network="sam2.1-hiera-lage"))

    def test_a_size_that_nothing_tells(self, tmp_path):
        save_file(tiny_sam2.weights(SMALLEST), tmp_path / "bare.safetensors")
        said = self.sentence(lambda: adapters.load("sam2", weights=tmp_path / "bare.safetensors"))
        assert "bare.safetensors is a SAM 2 network of unknown size (embedding 8" in said

    def test_a_part_of_the_weights(self, tmp_path):
        state = tiny_sam2.weights(SMALLEST)
        state.pop("memory_encoder.out_proj.bias")
        path = tiny_sam2.save(tmp_path, SMALLEST, state)
        said = self.sentence(lambda: adapters.load("sam2", weights=path))
        assert "memory_encoder.out_proj.bias" in said

    def test_options_that_make_no_sense(self, load):
        small = {"objects": "small"}
        for options, part in (
            ({"merge": [small]}, "leaves objects without a configuration"),
            ({"merge": [{"scale": 1}]}, "unknown option 'merge.scale'"),
            ({"merge": [7]}, "merge of adapter 'sam2' is 7, expected a mapping"),
            ({"rcms_frames": -1}, "rcms_frames of adapter 'sam2' is -1"),
            ({"rcms_quality": 2}, "rcms_quality of adapter 'sam2' is 2"),
            ({"sigmoid_scale": 0.0}, "above 0"),
            ({"sigmoid_bias": "low"}, "expected a number"),
        ):
            assert part in self.sentence(lambda options=options: load(**options))
