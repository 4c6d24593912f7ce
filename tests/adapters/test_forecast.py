"""Forecasts of time and memory, from what is known before a run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.forecast import (
    CPU_SPEEDS,
    FOOTPRINTS,
    GPU_SPEEDS,
    Basis,
    VideoShape,
    device_memory,
    frame_cost,
)
from adapters.registry import BUILT_IN

sides = st.integers(100, 2000)


def test_every_adapter_has_a_speed_and_those_with_a_network_a_footprint():
    assert set(GPU_SPEEDS) == set(CPU_SPEEDS) == set(BUILT_IN)
    assert set(BUILT_IN) - set(FOOTPRINTS) == {"flow", "hold", "folder"}
    assert device_memory("hold", VideoShape(1080, 1920, 3, 100), {}) == 0
    assert device_memory("elsewhere", VideoShape(1080, 1920, 3, 100), {}) is None


def test_runs_that_are_averaged_cost_what_they_are():
    once = frame_cost("cutie", {}).ms
    assert frame_cost("cutie", {"flip": True}).ms == 2 * once
    assert frame_cost("cutie", {"scales": (1.0, 2.0)}).ms == 5 * once
    assert frame_cost("xmem", {"flip": True}) == frame_cost("xmem", {})
    assert frame_cost("xmem", {"average_flip": True}).ms == 2 * frame_cost("xmem", {}).ms


def test_hypotheses_cost():
    once = frame_cost("sam2", {}, "cuda", 25.3)
    tree = frame_cost("sam2", {"memory": "tree"}, "cuda", 25.3)
    assert (once.ms, once.basis, tree.basis) == (25.3, Basis.STATED, Basis.ESTIMATED)
    assert tree.ms == pytest.approx(1.4 * frame_cost("sam2", {"memory": "anchors"}, stated=25.3).ms)
    assert frame_cost("sam2", {"memory": "tree", "tree": {"hypotheses": 1}}).ms == 25.3
    more = {"memory": "tree", "tree.hypotheses": 5}
    assert frame_cost("sam2", more).ms > frame_cost("sam2", {"memory": "tree"}).ms


def test_a_forecast_says_what_it_rests_on():
    assert frame_cost("cutie", {}).basis is Basis.PUBLISHED
    assert frame_cost("cutie", {}, "cpu").basis is Basis.MEASURED
    assert frame_cost("elsewhere", {}).basis is Basis.ESTIMATED
    stated = frame_cost("sam2", {}, "cuda", 11.0)
    assert stated == (pytest.approx(11.0), Basis.STATED)
    assert frame_cost("sam2", {}, "cpu", 25.3) == frame_cost("sam2", {}, "cpu")
    there, usual = frame_cost("sam2", {}, "cpu", 11.0), frame_cost("sam2", {}, "cpu")
    assert there.basis is Basis.ESTIMATED
    assert there.ms / usual.ms == pytest.approx(11.0 / frame_cost("sam2", {}).ms)


@pytest.mark.parametrize("adapter", FOOTPRINTS)
@given(sides, sides, st.integers(1, 20))
def test_more_objects_take_more_and_fewer_at_once_take_less(adapter, height, width, objects):
    forecast = device_memory(adapter, VideoShape(height, width, objects, 100), {})
    more = device_memory(adapter, VideoShape(height, width, objects + 1, 100), {})
    chunked = device_memory(adapter, VideoShape(height, width, objects, 100), {"chunk_size": 1})
    long = device_memory(adapter, VideoShape(height, width, objects, 100_000), {})
    assert chunked <= forecast <= more
    assert long == forecast


def test_memory_follows_the_working_size_and_the_frames_remembered():
    shape = VideoShape(1080, 1920, 3, 100)
    small, large = (device_memory("cutie", shape, {"size": side}) for side in (480, 720))
    assert small < large
    assert device_memory("cutie", shape, {"size": 480, "max_mem_frames": 10}) > small
    assert device_memory("cutie", shape, {"short_side": 480, "enlarge": 2}) == small
    assert math.isclose(
        device_memory("xmem", shape, {}, 10**9) - device_memory("xmem", shape, {}, 0), 10**9
    )
