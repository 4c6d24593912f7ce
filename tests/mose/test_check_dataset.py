"""The rules for the frames, given masks and meta file of a data set."""

import json
import shutil

import numpy as np
import pytest
from layouts import SIZE, blocks, write_frames, write_masks, write_video
from PIL import Image

from mose.check_dataset import video_findings
from mose.dataset import open_dataset
from mose.masks import write_mask

FRAMES = ("00000", "00001", "00002")


@pytest.fixture
def root(tmp_path):
    """``cat`` with objects 1 and 5, ``dog`` whose object 9 comes on frame 2."""
    write_video(tmp_path, "cat", FRAMES)
    write_video(tmp_path, "dog", FRAMES, {"00000": blocks(2), "00002": blocks(0, 9)})
    return tmp_path


def save(path, array):
    Image.fromarray(array).save(path)


def rules(root):
    dataset = open_dataset(root)
    findings = [f for name in dataset.videos for f in video_findings(dataset, name)]
    assert all("\n" not in f.sentence for f in findings)
    return [(f.rule, f.video, f.file) for f in findings]


def test_a_good_one(root):
    assert rules(root) == []


def test_truncated_frame(root):
    path = root / "JPEGImages/cat/00001.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    assert rules(root) == [("undecodable", "cat", "00001.jpg")]


def test_bytes_after_a_whole_frame_do_no_harm(root):
    path = root / "JPEGImages/cat/00001.jpg"
    path.write_bytes(path.read_bytes() + bytes(200))
    assert rules(root) == []


def test_frame_that_is_no_image(root):
    (root / "JPEGImages/cat/00001.jpg").write_bytes(b"x" * 100)
    assert rules(root) == [("undecodable", "cat", "00001.jpg")]


def test_frame_of_another_size(root):
    write_frames(root / "JPEGImages/cat", ["00002"], size=(10, 12))
    assert rules(root) == [("frame-size", "cat", "00002.jpg")]


def test_names_that_are_not_numbers(root):
    (root / "JPEGImages/cat/00002.jpg").rename(root / "JPEGImages/cat/last.jpg")
    assert rules(root) == [("video", "cat", None)]


def test_masks(root):
    masks = root / "Annotations"
    save(masks / "cat/00001.png", np.zeros((*SIZE, 3), np.uint8))
    write_mask(masks / "dog/00001.png", blocks(2, size=(5, 5)))
    assert rules(root) == [("mode", "cat", "00001.png"), ("size", "dog", "00001.png")]


def test_void_late_and_empty(root):
    masks = root / "Annotations"
    save(masks / "cat/00000.png", np.where(blocks(1) > 0, blocks(1), 255).astype(np.uint8))
    shutil.copy(masks / "dog/00000.png", masks / "dog/00001.png")
    (masks / "dog/00000.png").unlink()
    assert rules(root) == [("void", "cat", "00000.png"), ("late-first-mask", "dog", None)]
    write_masks(masks / "cat", {"00000": np.zeros(SIZE, np.uint8)})
    assert ("video", "cat", None) in rules(root)


def test_no_mask(root):
    shutil.rmtree(root / "Annotations/cat")
    assert rules(root) == [("video", "cat", None)]


def test_meta(root):
    entry = {"length": 4, "height": SIZE[0], "width": 99, "objects": []}
    (root / "meta.json").write_text(json.dumps({"videos": {"cat": entry}}))
    assert rules(root) == [("meta", "cat", None)] * 2
