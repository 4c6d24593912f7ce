"""Test-time options, and averaging over mirrored and scaled runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from adapters.shared.testtime import (
    Compiled,
    TestTimeOptions,
    Variant,
    augmented,
    autocast,
    mirrored,
    mirrored_frame,
)
from mose import InputError, Video
from stseg.config import build

HEIGHT, WIDTH = 12, 20


def clip(length: int = 3) -> Video:
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 256, (length, HEIGHT, WIDTH, 3), dtype=np.uint8)
    first = np.zeros((HEIGHT, WIDTH), np.uint8)
    first[2:6, 1:7] = 4
    later = np.zeros((HEIGHT, WIDTH), np.uint8)
    later[7:10, 12:19] = 2
    return Video.from_arrays(frames, {0: first, 1: later})


def brightness(video: Video, scale: float) -> Iterator[FrameMasks]:
    """A model whose answer for every object is the red channel times the scale."""
    ids: tuple[int, ...] = ()
    for index, frame in enumerate(video):
        ids += video.prompts.ids(index)
        plane = frame[..., 0].astype(np.float32) / 255 * scale / max(len(ids), 1)
        native = np.repeat(plane[None], len(ids), axis=0)
        sure = np.full(len(ids), scale, np.float32)
        yield FrameMasks(index, ids, sure, sure, native, Expansion("probability"))


def left_third(video: Video, scale: float) -> Iterator[FrameMasks]:
    """A model that sees objects only in the left third, and works at stride-4 logits."""
    for index in range(len(video)):
        native = np.full((1, 4, 6), -9.0, np.float32)
        native[:, :, :2] = 9.0
        rule = Expansion("aggregate-upsample", padded=(16, 24), window=(2, 1, HEIGHT, WIDTH))
        yield FrameMasks(index, (4,), np.ones(1), np.ones(1), native, rule)


def test_a_model_that_treats_sides_alike_is_unchanged_by_mirroring():
    plain = list(brightness(clip(), 1.0))
    both = list(augmented(brightness, clip(), TestTimeOptions(flip=True).variants()))
    assert [f.object_ids for f in both] == [(4,), (4, 2), (4, 2)]
    for one, two in zip(plain, both, strict=True):
        np.testing.assert_allclose(
            one.probabilities(HEIGHT, WIDTH), two.probabilities(HEIGHT, WIDTH), atol=1e-6
        )


def test_mirrored_runs_come_back_unmirrored():
    frame = next(augmented(left_third, clip(), (Variant(mirror=True),)))
    assert frame.expansion.rule == "aggregate-upsample"
    seen = frame.probabilities(HEIGHT, WIDTH)[0]
    plain = next(left_third(clip(), 1.0)).probabilities(HEIGHT, WIDTH)[0]
    np.testing.assert_allclose(seen, plain[:, ::-1], atol=1e-6)
    pair = next(augmented(left_third, clip(), TestTimeOptions(flip=True).variants()))
    np.testing.assert_allclose(
        pair.probabilities(HEIGHT, WIDTH)[0], (plain + plain[:, ::-1]) / 2, atol=1e-6
    )


def test_scales_are_averaged():
    frames = list(augmented(brightness, clip(), TestTimeOptions(scales=[0.5, 1.0]).variants()))
    expected = [f.probabilities(HEIGHT, WIDTH) * 0.75 for f in brightness(clip(), 1.0)]
    for frame, wanted in zip(frames, expected, strict=True):
        np.testing.assert_allclose(frame.probabilities(HEIGHT, WIDTH), wanted, atol=1e-6)
    np.testing.assert_allclose(frames[2].presence, [0.75, 0.75])


def test_a_single_variant_keeps_the_models_own_form():
    for ours, own in zip(
        augmented(left_third, clip(), TestTimeOptions().variants()),
        left_third(clip(), 1.0),
        strict=True,
    ):
        assert ours.expansion == own.expansion
        assert np.array_equal(ours.native, own.native)


def test_runs_advance_in_lock_step():
    order: list[tuple[float, int]] = []

    def noting(video: Video, scale: float) -> Iterator[FrameMasks]:
        for frame in brightness(video, scale):
            order.append((scale, frame.index))
            yield frame

    frames = augmented(noting, clip(), TestTimeOptions(scales=(0.5, 1.0)).variants())
    next(frames)
    assert order == [(0.5, 0), (1.0, 0)]
    next(frames)
    assert order[2:] == [(0.5, 1), (1.0, 1)]


def test_large_frames_are_averaged_smaller():
    frames = np.zeros((1, 960, 1200, 3), np.uint8)
    prompt = np.zeros((960, 1200), np.uint8)
    prompt[:10, :10] = 1
    video = Video.from_arrays(frames, {0: prompt})
    frame = next(augmented(brightness, video, TestTimeOptions(flip=True).variants()))
    assert frame.native.shape == (1, 480, 600)


def test_mirroring_a_video_and_a_frame_twice_gives_it_back():
    video, twice = clip(), mirrored(mirrored(clip()))
    assert np.array_equal(mirrored(video)[1], video[1][:, ::-1])
    assert np.array_equal(twice[2], video[2])
    assert np.array_equal(twice.prompts[1], video.prompts[1])
    assert twice.object_ids == video.object_ids
    frame = next(left_third(video, 1.0))
    back = mirrored_frame(mirrored_frame(frame))
    assert back.expansion == frame.expansion
    assert np.array_equal(back.native, frame.native)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"scales": []}, "scales"),
        ({"scales": [0]}, "scales"),
        ({"scales": ["big"]}, "scales"),
        ({"scales": "big"}, "scales"),
        ({"amp": "bf61"}, "bf16"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"short_side": 2.5}, "short_side"),
        ({"flip": "yes"}, "flip"),
    ],
)
def test_bad_options_name_themselves(options: dict, word: str):
    with pytest.raises(InputError, match=word):
        build(TestTimeOptions, options, "o.yaml")


def test_a_single_number_is_one_scale():
    assert build(TestTimeOptions, {"scales": 2}, "o.yaml").scales == (2.0,)


def test_mixed_precision_computes_in_the_named_type():
    import torch

    with autocast("cpu", "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with autocast("cpu", "off"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with pytest.raises(InputError, match="bf16"):
        autocast("cpu", "fp16")


def test_where_compiling_fails_the_network_runs_and_a_note_is_left(monkeypatch, caplog):
    import torch

    def broken(function):
        def fail(*arguments):
            raise RuntimeError("no compiler here\nmore")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    notes: list[str] = []
    double = Compiled(lambda x: 2 * x, notes)
    assert [double(1), double(2)] == [2, 4]
    assert notes == ["torch.compile failed and the network runs uncompiled: no compiler here"]
    assert caplog.messages == notes


def test_a_fault_of_the_input_is_not_taken_for_one_of_the_compiler(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "compile", lambda function: function)
    notes: list[str] = []

    def picky(x: int) -> int:
        if x < 0:
            raise ValueError("negative")
        return x

    guarded = Compiled(picky, notes)
    with pytest.raises(ValueError, match="negative"):
        guarded(-1)
    assert guarded(3) == 3
    assert notes == []


def test_importing_it_leaves_torch_out():
    code = "import sys, adapters.shared.testtime; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
