"""Dense flow, its cache, its pictures, and RAFT where it is there."""

from __future__ import annotations

import subprocess
import sys
import types

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.shared import optical_flow
from adapters.shared.optical_flow import (
    DenseFlow,
    FlowCache,
    RaftFlow,
    flow_picture,
    read_picture,
    warp,
)
from mose import InputError, Video


def textured(height: int, width: int, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A smooth random picture; ``shift`` moves its content by (x, y) pixels."""
    noise = np.random.default_rng(11).integers(0, 256, (height + 40, width + 40, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    x, y = 20 - shift[0], 20 - shift[1]
    return np.ascontiguousarray(smooth[y : y + height, x : x + width])


def test_a_mask_is_carried_to_where_its_content_went():
    before, after = textured(96, 128), textured(96, 128, (6, -4))
    flow = DenseFlow("medium")(after, before)
    inner = flow[20:-20, 20:-20]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1)), [-6, 4], atol=0.3)
    mask = np.zeros((1, 96, 128), np.float32)
    mask[0, 40:60, 50:80] = 1
    moved = warp(mask, flow)[0] > 0.5
    wanted = np.zeros((96, 128), bool)
    wanted[36:56, 56:86] = True
    assert (moved & wanted).sum() / (moved | wanted).sum() > 0.9


@settings(max_examples=20, deadline=None)
@given(
    dx=st.integers(-5, 5),
    dy=st.integers(-5, 5),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
)
def test_warping_along_whole_pixels_is_a_shift_with_nothing_beyond_the_border(
    dx, dy, height, width
):
    planes = np.random.default_rng(0).random((2, height, width), dtype=np.float32)
    flow = np.broadcast_to(np.float32([dx, dy]), (height, width, 2))
    wide = np.pad(planes, ((0, 0), (5, 5), (5, 5)))
    expected = wide[:, 5 + dy : 5 + dy + height, 5 + dx : 5 + dx + width]
    np.testing.assert_allclose(warp(planes, flow), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (7, 9), (33, 31)])
def test_frames_of_any_size_have_a_flow(size):
    frame = textured(*size)
    flow = DenseFlow("ultrafast")(frame, frame)
    assert flow.shape == (*size, 2)
    assert np.abs(flow).max() < 1


def test_a_flow_is_computed_once_for_all_who_ask_within_the_bound(monkeypatch):
    count = 0

    def compute(source, target):
        nonlocal count
        count += 1
        return np.zeros((10, 10, 2), np.float32)

    frames = [np.full((10, 10), i, np.uint8) for i in range(6)]
    cache = FlowCache(limit=3 * 800)
    for index in range(5):
        for _ in range(2):
            cache.get("m", frames[index], frames[index + 1].copy(), compute)
    assert count == 5
    cache.get("other", frames[4], frames[5], compute)
    cache.get("m", frames[5], frames[4], compute)
    assert count == 7  # another method, another direction
    cache.get("m", frames[0], frames[1], compute)
    assert count == 8  # the oldest had to go
    assert cache._bytes <= 3 * 800
    with pytest.raises(ValueError, match="read-only"):
        cache.get("m", frames[0], frames[1], compute)[0] = 1


def test_two_members_share_their_flows():
    first, second = textured(64, 80), textured(64, 80, (2, 1))
    assert DenseFlow("fast")(first, second) is DenseFlow("fast")(first.copy(), second)


def test_directions_have_the_hues_of_the_colour_wheel():
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :3] = [(10, 0), (-10, 0), (0, -10)]
    right, left, up, still = flow_picture(flow)[0].astype(int)
    assert right.tolist() == [255, 0, 0]
    assert left[2] > 200
    assert left[0] < 60
    assert up[2] > 200
    assert up[0] > 80
    assert still.tolist() == [255, 255, 255]
    quiet = flow_picture(np.full((2, 2, 2), 0.01, np.float32))
    assert quiet.min() > 240


def test_given_pictures_are_found_by_video_and_frame_name(tmp_path):
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    video = Video.from_arrays(frames, {0: np.ones((8, 8), np.uint8)}, name="bear")
    (tmp_path / "bear").mkdir()
    picture = np.full((4, 6, 3), 77, np.uint8)
    cv2.imwrite(str(tmp_path / "bear" / "00001.png"), picture)
    assert np.array_equal(read_picture(tmp_path, video, 1), picture)
    with pytest.raises(InputError, match=r"00000\.jpg does not exist"):
        read_picture(tmp_path, video, 0)


def test_raft_without_torchvision_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(InputError, match=r"torchvision.*'dis'"):
        RaftFlow("cpu")


class Still(torch.nn.Module):
    """Stands for RAFT: a constant flow."""

    def __init__(self):
        super().__init__()
        self.motion = torch.nn.Parameter(torch.zeros(2))

    def forward(self, first, second):
        assert first.shape[-2] % 8 == first.shape[-1] % 8 == 0
        assert min(first.shape[-2:]) >= 128
        assert -1 <= first.min() <= first.max() <= 1
        return [self.motion[None, :, None, None].expand(1, 2, *first.shape[-2:])]


@pytest.fixture
def torchvision(monkeypatch, tmp_path):
    flow = types.ModuleType("torchvision.models.optical_flow")
    weights = types.SimpleNamespace(url="https://example.org/raft_large.pth")
    flow.Raft_Large_Weights = types.SimpleNamespace(DEFAULT=weights)  # type: ignore[attr-defined]
    flow.raft_large = lambda weights: Still()  # type: ignore[attr-defined]
    models = types.ModuleType("torchvision.models")
    models.optical_flow = flow  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", flow)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints" / "raft_large.pth"


def test_raft_runs_where_its_weights_are_and_asks_for_them_where_not(torchvision):
    with pytest.raises(InputError, match=r"example\.org/raft_large"):
        RaftFlow("cpu")
    torchvision.parent.mkdir()
    torch.save({"motion": torch.tensor([3.0, -1.0])}, torchvision)
    flow = RaftFlow("cpu")(textured(30, 50), textured(30, 50, (1, 0)))
    assert flow.shape == (30, 50, 2)
    assert np.array_equal(flow[3, 4], [3, -1])


def test_importing_it_leaves_torch_out():
    code = "import sys, adapters.shared.optical_flow; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert optical_flow.CACHE_BYTES < 100 << 20
