"""The out-of-memory ladder, alone and through a worker that runs out of memory."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from adapters.hold import HoldSegmenter
from adapters.registry import BUILT_IN
from adapters.shared.testtime import TestTimeOptions
from ensemble import run as command
from ensemble.execution.memory_ladder import lighter
from mose.masks import write_mask

KNOWN = {"chunk_size", "flip", "scales", "short_side"}


def test_each_step_is_lighter_than_the_one_before():
    options = {"flip": True, "mem_every": 3}
    assert lighter(options, KNOWN, 0, 1080) == (options, "")
    one, words = lighter(options, KNOWN, 1, 1080)
    assert one == {**options, "chunk_size": 1}
    assert words == "one object at a time"
    two, _ = lighter(options, KNOWN, 2, 1080)
    assert two["flip"] is False
    three, words = lighter(options, KNOWN, 3, 1080)
    assert three["short_side"] == 810
    assert "810 pixels" in words


def test_size_of_a_network_and_options_that_are_not_there():
    assert lighter({}, {"size"}, 3, 1080) == ({"size": 360}, "at 360 pixels")
    assert lighter({"size": 720}, {"size"}, 3, 480) == ({"size": 360}, "at 360 pixels")
    assert lighter({}, set(), 3, 480) == ({}, "")


class Greedy(HoldSegmenter):
    """Runs out of memory unless it handles one object at a time."""

    name = "greedy"
    Options = TestTimeOptions

    def segment(self, video):
        if self.options.chunk_size != 1:
            raise MemoryError("too many objects at once")
        self.notes.append("the greedy one ran")
        yield from super().segment(video)


@pytest.fixture
def greedy(monkeypatch):
    monkeypatch.setitem(BUILT_IN, "greedy", f"{__name__}:Greedy")


def test_pair_that_runs_out_of_memory_is_done_lighter_and_says_so(tmp_path, greedy):
    ids = np.zeros((20, 30), np.uint8)
    ids[5:10, 5:10] = 1
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / "data" / kind / "v").mkdir(parents=True)
    for t in range(3):
        Image.new("RGB", (30, 20)).save(tmp_path / f"data/JPEGImages/v/{t:05d}.jpg")
    write_mask(tmp_path / "data/Annotations/v/00000.png", ids)
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"members": [{"name": "g", "adapter": "greedy"}]}))
    arguments = ["--dataset", tmp_path / "data", "--config", config, "--executor", "inline",
                 "--output", tmp_path / "run", "--split", "test"]  # fmt: skip
    assert command.main([str(a) for a in arguments]) == 0
    record = json.loads((tmp_path / "run/selection/v.json").read_text())
    assert record["reduced_members"] == {"g": "one object at a time"}
    assert record["notes"] == {"g": ["the greedy one ran"]}
    events = [json.loads(line) for line in (tmp_path / "run/events.jsonl").open()]
    assert [e["category"] for e in events if e["event"] == "Retry"] == ["memory"]
