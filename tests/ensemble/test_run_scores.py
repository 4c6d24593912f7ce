"""The J&F of a run's table is what `selection.evaluate` gives the same masks."""

import json

import numpy as np
import pytest
import yaml
from small_runs import MEMBERS, arguments, make_video

from ensemble import run as command
from mose.masks import read_mask, write_mask
from selection.evaluate import evaluate


@pytest.fixture
def root(tmp_path):
    """Videos with an object that appears later; ``b`` is labelled on every second frame only."""
    make_video(tmp_path, "a", 8, late=True)
    make_video(tmp_path, "b", 9, late=True)
    for index in range(1, 9, 2):
        (tmp_path / f"Labels/b/{index:05d}.png").unlink()
    return tmp_path


def scores(root, *more, **options):
    config = root / "c.yaml"
    config.write_text(yaml.safe_dump({"members": MEMBERS}))
    words = arguments(root, config, root / "out", "--labels", "Labels", *more)
    assert command.main(words) == 0
    summary = json.loads((root / "out/summary.json").read_text())
    return summary["truth"]["selected"], evaluate(root / "out/masks", root / "Labels").mean["J&F"]


@pytest.mark.parametrize(
    "granularity",
    ["object", *(pytest.param(n, marks=pytest.mark.slow) for n in ("video", "segment"))],
)
def test_late_objects_few_labels_and_several_candidates(root, granularity):
    ours, theirs = scores(root, "--set", f"selection.granularity={granularity}")
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_what_is_to_be_ignored(root):
    for path in (root / "Labels/a").iterdir():
        ids = read_mask(path)
        ids[20:40, 20:40] = 255
        write_mask(path, ids)
    write_mask(root / "Labels/a/00003.png", np.where(np.eye(48, 64) > 0, 255, 0).astype(np.uint8))
    ours, theirs = scores(root)
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_an_object_that_is_given_and_that_no_label_holds(root):
    for path in (root / "Labels/a").iterdir():
        ids = read_mask(path)
        write_mask(path, np.where(ids == 9, 0, ids).astype(np.uint8))
    ours, theirs = scores(root)
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_an_object_that_is_never_given_is_said(root, capsys):
    for path in (root / "Labels/a").iterdir():
        ids = read_mask(path)
        ids[:5, :5] = 4
        write_mask(path, ids)
    ours, theirs = scores(root)
    assert ours > theirs
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(said) == 1
    assert "(video a: 4): J&F here leaves them out, selection.evaluate scores them" in said[0]


def test_one_decision_on_255_for_run_and_evaluation(root):
    """Labels of ``b`` hold 0 and 255 alone; those of ``a`` show that 255 is to be ignored."""
    for path in (root / "Labels/b").iterdir():
        write_mask(path, np.where(read_mask(path) > 0, 255, 0).astype(np.uint8))
    path = root / "Labels/a/00000.png"
    ids = read_mask(path)
    ids[:3] = 255
    write_mask(path, ids)
    ours, theirs = scores(root)
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert set(evaluate(root / "out/masks", root / "Labels").videos["b"]) == set()
