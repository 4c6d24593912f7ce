"""An edit by hand: the J&F of the table is that of the masks that are then written."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image
from small_runs import MEMBERS, arguments

from ensemble import run as run_command
from mose.masks import write_mask
from selection.evaluate import evaluate
from study import override

FRAMES, WIDTH = 6, 64


@pytest.fixture
def root(tmp_path):
    """Two objects, one behind the other: where the front one is held, the other moves into it."""
    noise = np.random.default_rng(0).integers(0, 255, (48, WIDTH, 3), dtype=np.uint8)
    for kind in ("JPEGImages", "Annotations", "Labels"):
        (tmp_path / kind / "v").mkdir(parents=True)
    for index in range(FRAMES):
        ids = np.zeros((48, WIDTH), np.uint8)
        left = 4 + 3 * index
        ids[12:36, left : left + 16], ids[12:36, left + 16 : left + 32] = 9, 3
        image = np.where(ids[..., None] > 0, np.roll(noise, 3 * index, axis=1), 90)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"JPEGImages/v/{index:05d}.png")
        write_mask(tmp_path / f"Labels/v/{index:05d}.png", ids)
        if index == 0:
            write_mask(tmp_path / "Annotations/v/00000.png", ids)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"members": MEMBERS}))
    more = ("--labels", "Labels", "--keep-soft")
    words = arguments(tmp_path, tmp_path / "c.yaml", tmp_path / "run", *more)
    assert run_command.main(words) == 0
    return tmp_path


def compare(root):
    told = json.loads((root / "run/summary.json").read_text())["truth"]["selected"]
    true = evaluate(root / "run/masks", root / "Labels").mean["J&F"]
    assert told == pytest.approx(true, abs=1e-5)
    return told


def test_objects_of_two_candidates_are_scored_as_they_are_written(root):
    run = str(root / "run")
    override.main([run, "v", "flow"])
    whole = compare(root)
    override.main([run, "v", "hold", "--object", "3"])
    record = json.loads((root / "run/selection/v.json").read_text())
    assert record["plan"] == {"3": [[0, "hold"]], "9": [[0, "flow"]]}
    alone = {row["name"]: row["truth_objects"] for row in record["candidates"]}
    of_candidates = (alone["hold"]["3"] + alone["flow"]["9"]) / 2
    assert compare(root) < whole
    assert abs(of_candidates - compare(root)) > 1e-3, "no pixel is claimed twice"
