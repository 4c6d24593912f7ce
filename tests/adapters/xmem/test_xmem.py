"""The adapter and the network of XMem beyond the contract: options, sizes, names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
import tiny_xmem
import torch
from parity_cases import folder
from tiny_models import texture

import adapters
from adapters.networks import xmem
from adapters.networks.xmem import XMemConfig
from adapters.shared.testtime import mirrored
from adapters.xmem.segmenter import XMemOptions, working_size
from mose import InputError, Video
from stseg.options import build

HEIGHT, WIDTH = 48, 72

Load = Callable[..., adapters.Segmenter]


@pytest.fixture(scope="module")
def load(tmp_path_factory) -> Load:
    """``load(**options)`` with tiny weights, and frames as they are."""
    path = tmp_path_factory.mktemp("weights") / "xmem.pth"
    torch.save(tiny_xmem.official(), path)
    return lambda **options: adapters.load("xmem", weights=path, **{"size": -1, **options})


def boxes(count: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Ids 1 to ``count`` in a grid."""
    ids = np.zeros(size, np.uint8)
    across = int(np.ceil(np.sqrt(count)))
    for place in range(count):
        y, x = (place // across) * size[0] // across, (place % across) * size[1] // across
        ids[y : y + size[0] // across - 1, x : x + size[1] // across - 1] = place + 1
    return ids


def moving(frames: int = 9, objects: int = 2, **later: np.ndarray) -> Video:
    """A video of smooth noise; ``at3=mask`` gives a mask on frame 3."""
    images = texture(frames, HEIGHT, WIDTH, 3)
    prompts = {0: boxes(objects)} | {int(at[2:]): mask for at, mask in later.items()}
    return Video.from_arrays(images, prompts)


def corner() -> np.ndarray:
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[30:46, 50:70] = 9
    return ids


def all_probabilities(segmenter: adapters.Segmenter, video: Video) -> list[np.ndarray]:
    size = video.height, video.width
    return [frame.probabilities(*size) for frame in segmenter.segment(video)]


def apart(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def test_official_checkpoint_fits():
    """Every published entry has a place of its shape, and every place an entry."""
    manifest = json.loads((folder() / "xmem" / "manifest.json").read_text())
    official = {key: torch.empty(entry["shape"], device="meta") for key, entry in manifest.items()}
    config = xmem.config_of(xmem.NAMES.from_official(official))
    assert config == XMemConfig()
    with torch.device("meta"):
        state = xmem.XMem(config).state_dict()
    back = xmem.NAMES.to_official(state)
    assert {key: list(value.shape) for key, value in back.items()} == {
        key: entry["shape"] for key, entry in manifest.items()
    }


@pytest.mark.parametrize(
    "changed",
    [{}, {"sensory_dim": 0, "sensory_hidden": 256}, {"image_depth": 26, "mask_width": 4}],
)
def test_sizes_are_read_from_the_weights(changed):
    config = dataclasses.replace(tiny_xmem.CONFIG, **changed)
    state = tiny_xmem.network(config).state_dict()
    assert xmem.config_of(state) == config
    assert xmem.NAMES.from_official(xmem.NAMES.to_official(state)).keys() == state.keys()


def test_the_network_learns_through_time():
    """Gradients from a later frame's masks reach every weight."""
    network = tiny_xmem.network().train()
    images = torch.rand(3, 2, 3, 32, 48)
    masks = torch.rand(2, 2, 32, 48)
    features = [network.encode_images(frame) for frame in images]
    sensory = torch.zeros(4, tiny_xmem.CONFIG.sensory_dim, 2, 3)
    values = []
    for frame in (0, 1):
        value, sensory = network.encode_masks(images[frame], features[frame].pixels, masks, sensory)
        values.append(value.unflatten(0, (2, 2)))
        readout = network.read(features[frame + 1], features[: frame + 1], torch.stack(values, 2))
        logits, sensory = network.decode(features[frame + 1], readout, sensory)
        assert logits.shape == (2, 2, 8, 12)
    (logits.square().sum() + sensory.square().sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_without_sensory_memory(tmp_path):
    config = dataclasses.replace(tiny_xmem.CONFIG, sensory_dim=0)
    torch.save(tiny_xmem.official(config), tmp_path / "x.pth")
    segmenter = adapters.load("xmem", weights=tmp_path / "x.pth", size=-1, mem_every=2)
    assert all(p.shape[0] == 2 for p in all_probabilities(segmenter, moving()))


@pytest.mark.parametrize("chunk_size", [1, 2, 5])
def test_objects_in_chunks_are_the_same(load, chunk_size):
    """Objects meet only in the aggregation and in each other's plane of others."""
    video = moving(objects=4, at4=corner())
    whole = all_probabilities(load(mem_every=2), video)
    parts = all_probabilities(load(mem_every=2, chunk_size=chunk_size), video)
    assert apart(whole, parts) < 1e-4


@pytest.mark.parametrize("ahead", [2, 4, 100])
def test_encoding_ahead_is_the_same(load, ahead):
    video = moving(at4=corner())
    plain = all_probabilities(load(mem_every=2), video)
    assert apart(plain, all_probabilities(load(mem_every=2, ahead=ahead), video)) < 1e-4


def test_flip_runs_on_the_mirrored_video(load):
    """Exactly as the reference: nothing is averaged."""
    video = moving(at4=corner())
    flipped = all_probabilities(load(flip=True), video)
    by_hand = all_probabilities(load(), mirrored(video))
    assert apart(flipped, [p[:, :, ::-1] for p in by_hand]) < 1e-5
    plain = all_probabilities(load(), video)
    assert apart(plain, flipped) > 1e-3
    both = all_probabilities(load(average_flip=True), video)
    assert apart(both, [(a + b) / 2 for a, b in zip(plain, flipped, strict=True)]) < 1e-4


def test_small_frames_are_enlarged_and_large_ones_made_smaller(load):
    for size, padded in ((32, (32, 48)), (64, (64, 96)), (-1, (48, 80))):
        frame = list(load(size=size).segment(moving(2)))[1]
        assert frame.expansion.padded == padded
        assert frame.native.shape[1:] == (padded[0] // 4, padded[1] // 4)
    frame = list(load(size=480, short_side=32).segment(moving(2)))[1]
    assert frame.expansion.padded == (32, 48)
    frame = list(load(short_side=96, enlarge=1).segment(moving(2)))[1]
    assert frame.expansion.padded == (48, 80)
    frame = list(load(size=32, scales=[2]).segment(moving(2)))[1]
    assert frame.expansion.padded == (64, 96)


def test_deep_updates_on_their_own_schedule(load):
    """Every memory frame is one where the interval is 1 and memory frames are all."""
    video = moving()
    together = all_probabilities(load(mem_every=1), video)
    alone = all_probabilities(load(mem_every=1, deep_update_every=3), video)
    assert apart(together, alone) > 1e-4


def test_a_long_video_with_long_term_memory(load):
    options = {
        "mem_every": 1,
        "max_mid_term_frames": 3,
        "min_mid_term_frames": 2,
        "num_prototypes": 4,
        "max_long_term_elements": 10,
    }
    video = moving(30, at9=corner())
    with_limit = all_probabilities(load(**options), video)
    assert all(np.isfinite(p).all() for p in with_limit)
    without = all_probabilities(load(mem_every=1, enable_long_term=False), video)
    assert apart(with_limit, without) > 1e-4


def test_a_hundred_objects(load):
    ids = boxes(100, (60, 60))
    video = Video.from_arrays(texture(3, 60, 60, 3), {0: ids})
    frames = list(load(mem_every=1, chunk_size=16).segment(video))
    assert [len(frame.object_ids) for frame in frames] == [100] * 3
    assert frames[2].probabilities(60, 60).shape == (100, 60, 60)


def test_half_precision_is_close(load):
    plain = all_probabilities(load(), moving(3))
    assert apart(plain, all_probabilities(load(amp="bf16"), moving(3))) < 0.2


@pytest.mark.parametrize(
    "options",
    [
        {"mem_every": 0},
        {"top_k": 2.5},
        {"size": -2},
        {"enable_long_term": 1},
        {"average_flip": "no"},
        {"max_mid_term_frames": 5},
        {"num_prototypes": 20000},
        {"ahead": 0},
    ],
)
def test_impossible_options_are_bad_input(load, options):
    with pytest.raises(InputError, match=next(iter(options))):
        load(**options)


@pytest.mark.parametrize(
    ("options", "scale", "expected"),
    [
        ({}, 1, (480, 640)),
        ({"size": -1}, 1, (90, 120)),
        ({"size": -1}, 2, (180, 240)),
        ({"short_side": 180, "enlarge": 1.5}, 1, (135, 180)),
    ],
)
def test_frames_are_resized_to_the_shorter_side(options, scale, expected):
    video = Video.from_arrays(np.zeros((1, 90, 120, 3), np.uint8), {0: np.eye(90, 120, dtype="u1")})
    assert working_size(video, build(XMemOptions, options, "a test"), scale) == expected
