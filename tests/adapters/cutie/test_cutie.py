"""The adapters of Cutie and LiVOS beyond the contract: options, sizes, checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_cutie
import torch
from tiny_models import texture

import adapters
from adapters.cutie.memory import LongTerm
from adapters.cutie.segmenter import CutieSegmenter
from adapters.shared.testtime import mirrored
from mose import InputError, Video

HEIGHT, WIDTH = 48, 64

Load = Callable[..., adapters.Segmenter]


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Load:
    """``load(adapter, **options)`` with tiny weights."""
    folder = tmp_path_factory.mktemp("weights")
    for name in ("cutie", "livos"):
        torch.save(tiny_cutie.official(name), folder / f"{name}.pth")

    def make(name: str, **options: Any) -> adapters.Segmenter:
        if name == "livos" and "short_side" not in options:
            options.setdefault("size", -1)
        return adapters.load(name, weights=folder / f"{name}.pth", **options)

    return make


def boxes(count: int = 2, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Ids 1 to ``count`` side by side."""
    ids = np.zeros(size, np.uint8)
    step = size[1] // count
    for place in range(count):
        ids[8:40, place * step : place * step + max(step - 2, 1)] = place + 1
    return ids


def moving(frames: int = 7, objects: int = 2, **later: np.ndarray) -> Video:
    """A video of smooth noise; ``at3=mask`` gives a mask on frame 3."""
    images = texture(frames, HEIGHT, WIDTH, 3)
    prompts = {0: boxes(objects)} | {int(at[2:]): mask for at, mask in later.items()}
    return Video.from_arrays(images, prompts)


def all_probabilities(segmenter: adapters.Segmenter, video: Video) -> list[np.ndarray]:
    size = video.height, video.width
    return [frame.probabilities(*size) for frame in segmenter.segment(video)]


def assert_close(one: list[np.ndarray], other: list[np.ndarray], tolerance: float = 1e-4) -> None:
    for index, (a, b) in enumerate(zip(one, other, strict=True)):
        assert a.shape == b.shape
        assert np.abs(a - b).max(initial=0) <= tolerance, f"frame {index}"


def late_mask() -> np.ndarray:
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[2:20, 5:30] = 9
    return ids


@pytest.mark.parametrize("name", ["cutie", "livos"])
def test_encoding_ahead_changes_nothing(load, name):
    video = moving(7, at3=late_mask())
    assert_close(
        all_probabilities(load(name), video), all_probabilities(load(name, ahead=3), video)
    )


@pytest.mark.parametrize("name", ["cutie", "livos"])
def test_ids_are_names_only(load, name):
    plain = moving(5, at2=late_mask())
    renamed = {1: 7, 2: 200, 9: 3}
    table = np.arange(256, dtype=np.uint8)
    table[list(renamed)] = list(renamed.values())
    prompts = {t: table[plain.prompts[t]] for t in plain.prompts}
    other = Video.from_arrays(np.stack(list(plain)), prompts)
    segmenter = load(name)
    for a, b in zip(segmenter.segment(plain), segmenter.segment(other), strict=True):
        assert tuple(renamed[i] for i in a.object_ids) == b.object_ids
        assert np.array_equal(a.native, b.native)


def test_dotted_names_and_mappings_set_the_same_limits():
    parse = CutieSegmenter.parse_options
    expected = LongTerm(max_mem_frames=4, min_mem_frames=2)
    assert parse({"long_term": {"max_mem_frames": 4, "min_mem_frames": 2}}).long_term == expected
    dotted = {"long_term.max_mem_frames": 4, "long_term.min_mem_frames": 2}
    assert parse(dotted).long_term == expected
    assert parse({"long_term": expected}).long_term == expected
    mixed = {"long_term": {"max_mem_frames": 4}, "long_term.min_mem_frames": 2}
    assert parse(mixed).long_term == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"long_term.max_frames": 4}, "did you mean 'long_term.max_mem_frames'"),
        ({"long_term": {"tokens": 4}}, "unknown option 'long_term.tokens'"),
        ({"long_term": 4}, "long_term .* is 4, expected"),
        ({"shortterm.top_k": 4}, r"unknown option 'shortterm\.top_k'"),
        ({"mem_every": 0}, "mem_every .* is 0, expected"),
        ({"top_k": "30"}, "top_k .* is '30', expected"),
        ({"max_mem_frames": 0}, "max_mem_frames .* is 0, expected"),
        ({"use_long_term": 1}, "use_long_term .* is 1, expected"),
        ({"chunk_size": 0}, "chunk_size .* is 0, expected"),
        ({"ahead": 0}, "ahead .* is 0, expected"),
        ({"long_term.num_prototypes": 1.5}, r"long_term.num_prototypes .* is 1\.5, expected"),
    ],
)
def test_options_that_do_not_fit_are_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        CutieSegmenter.parse_options(options)


@pytest.mark.parametrize(
    ("mem_every", "stagger", "times"),
    [(5, 5, {1, 2, 3, 4, 5}), (5, 2, {1, 5}), (5, 4, {1, 2, 4, 5}), (4, 1, {1}), (3, 9, {1, 2, 3})],
)
def test_sensory_updates_are_spread_evenly(mem_every, stagger, times):
    options = CutieSegmenter.parse_options({"mem_every": mem_every, "stagger_updates": stagger})
    assert options.sensory_times == times


@pytest.mark.parametrize("chunk_size", [-1, 1])
@pytest.mark.parametrize("late", [False, True])
def test_flip_aug_cannot_tell_left_from_right(load, chunk_size, late):
    segmenter = load("cutie", flip_aug=True, mem_every=2, chunk_size=chunk_size)
    video = moving(6, at3=late_mask()) if late else moving(6)
    plain = all_probabilities(segmenter, video)
    flipped = all_probabilities(segmenter, mirrored(video))
    assert_close(plain, [masks[..., ::-1] for masks in flipped])


@pytest.mark.parametrize("name", ["cutie", "livos"])
def test_flip_averages_with_the_mirrored_video(load, name):
    video = moving(4)
    plain = all_probabilities(load(name), video)
    flipped = all_probabilities(load(name), mirrored(video))
    expected = [(a + b[..., ::-1]) / 2 for a, b in zip(plain, flipped, strict=True)]
    assert_close(all_probabilities(load(name, flip=True), video), expected, 1e-5)


def native_size(segmenter: adapters.Segmenter, height: int, width: int) -> tuple[int, ...]:
    frames = texture(2, height, width, 3)
    ids = boxes(1, (height, width))
    ids[0, 0] = 1
    answers = list(segmenter.segment(Video.from_arrays(frames, {0: ids})))
    window = answers[1].expansion.window
    assert window is not None
    return window[2:]


@pytest.mark.parametrize(
    ("name", "options", "size", "expected"),
    [
        ("cutie", {}, (40, 60), (40, 60)),
        ("cutie", {"size": 32}, (40, 60), (32, 48)),
        ("cutie", {"size": 48}, (40, 60), (40, 60)),
        ("cutie", {"size": -1}, (90, 50), (90, 50)),
        ("cutie", {"short_side": 48}, (40, 60), (48, 72)),
        ("cutie", {"short_side": 80, "enlarge": 1.5}, (40, 60), (60, 90)),
        ("cutie", {"short_side": 48, "enlarge": 2}, (40, 60), (48, 72)),
        ("livos", {"short_side": 80, "enlarge": 1}, (40, 60), (40, 60)),
        ("cutie", {"max_internal_size": 32}, (48, 50), (32, 33)),
        ("cutie", {"scales": 0.5}, (40, 60), (20, 30)),
        ("livos", {"size": -1}, (40, 60), (40, 60)),
        ("livos", {"size": 64}, (40, 60), (64, 96)),
        ("livos", {"size": 32}, (61, 47), (41, 32)),
        ("livos", {"short_side": 16}, (40, 60), (16, 24)),
    ],
)
def test_working_size(load, name, options, size, expected):
    assert native_size(load(name, **options), *size) == expected


@pytest.mark.parametrize("enlarge", [0.5, -1, "twice", True])
def test_enlarging_is_a_number_from_one(load, enlarge):
    with pytest.raises(InputError, match=r"option enlarge .* is"):
        load("cutie", enlarge=enlarge)


def test_two_resizes_on_the_way_back(load):
    """An inner limit below ``size``: masks come back through both, as they went."""
    segmenter = load("cutie", size=40, max_internal_size=32)
    answers = list(segmenter.segment(moving(3)))
    assert all(frame.expansion.rule == "probability" for frame in answers)
    assert all(frame.native.shape == (2, 40, 53) for frame in answers)


def test_an_object_that_vanishes_in_resizing_is_absent(load):
    ids = boxes(1)
    ids[0, 0] = 5
    video = Video.from_arrays(texture(4, HEIGHT, WIDTH, 3), {0: ids})
    without = Video.from_arrays(np.stack(list(video)), {0: boxes(1)})
    segmenter = load("cutie", size=16)
    expected = all_probabilities(segmenter, without)
    for frame, alone in zip(segmenter.segment(video), expected, strict=True):
        assert frame.object_ids == (1, 5)
        assert frame.presence[1] < 1e-6
        masks = frame.probabilities(HEIGHT, WIDTH)
        assert np.abs(masks[0] - alone[0]).max() < 1e-5
        assert masks[1].max() < 1e-6

    only = np.zeros((HEIGHT, WIDTH), np.uint8)
    only[0, 0] = 5
    frames = list(segmenter.segment(Video.from_arrays(np.stack(list(video)), {0: only})))
    assert [frame.presence.tolist() for frame in frames] == [[0.0]] * 4


@pytest.mark.parametrize("name", ["cutie", "livos"])
def test_a_hundred_objects(load, name):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (y, x) in enumerate(itertools.product(range(10), range(10))):
        ids[y * 4 : y * 4 + 4, x * 6 : x * 6 + 6] = number + 100
    video = Video.from_arrays(texture(3, HEIGHT, WIDTH, 3), {0: ids})
    answers = list(load(name, chunk_size=16).segment(video))
    assert [frame.native.shape[0] for frame in answers] == [100] * 3
    assert np.array_equal(answers[0].labels(HEIGHT, WIDTH), ids)


@pytest.mark.parametrize("name", ["cutie", "livos"])
def test_mixed_precision_stays_close(load, name):
    plain = all_probabilities(load(name, size=-1), moving(4))
    mixed = all_probabilities(load(name, size=-1, amp="bf16"), moving(4))
    assert_close(plain, mixed, 0.1)


def damaged(name: str, change: Callable[[dict[str, torch.Tensor]], None], path: Path) -> Path:
    state = tiny_cutie.official(name)
    change(state)
    torch.save(state, path)
    return path


def first(prefix: str, state: dict[str, torch.Tensor]) -> str:
    return next(name for name in state if name.startswith(prefix))


CHANGES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], str]] = {
    "missing": (lambda s: s.pop(first("mask_decoder", s)), "1 entries missing"),
    "unknown": (lambda s: s.update(extra=torch.zeros(1)), "1 entries unknown .such as extra"),
    "shape": (
        lambda s: s.update({first("mask_decoder", s): torch.zeros(3)}),
        "cannot be read|shape",
    ),
}


@pytest.mark.parametrize("name", ["cutie", "livos"])
@pytest.mark.parametrize("change", CHANGES)
def test_checkpoints_are_loaded_strictly(name, change, tmp_path):
    action, message = CHANGES[change]
    path = damaged(name, action, tmp_path / "changed.pth")
    with pytest.raises(InputError, match=message):
        adapters.load(name, weights=path)


@pytest.mark.parametrize(("name", "other"), [("cutie", "livos"), ("livos", "cutie")])
def test_another_models_checkpoint_is_named(name, other, tmp_path):
    path = damaged(other, lambda state: None, tmp_path / "other.pth")
    title = {"livos": "LiVOS", "cutie": "Cutie"}[other]
    with pytest.raises(InputError, match=f"other.pth .* looks like {title}"):
        adapters.load(name, weights=path)


@pytest.mark.parametrize("name", ["cutie", "livos"])
def test_a_cut_off_checkpoint_is_bad_input(name, tmp_path):
    path = damaged(name, lambda state: None, tmp_path / "cut.pth")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"cut\.pth .* cut off"):
        adapters.load(name, weights=path)
