"""One video by itself, and the boxes on it."""

import numpy as np
import pytest
from layouts import blocks, write_video

from mose import InputError
from mose.masks import write_mask
from mose.single import frames_and_boxes, open_single


@pytest.fixture
def root(tmp_path):
    write_video(tmp_path, "a", masks={name: blocks(4) for name in ("00000", "00001", "00002")})
    write_mask(tmp_path / "first.png", blocks(4))
    return tmp_path


def test_a_mask_of_any_name_is_that_of_the_first_frame(root):
    dataset = open_single(root / "JPEGImages/a", root / "first.png")
    video = dataset.video("a")
    assert (dataset.videos, len(video), list(video.prompts)) == (("a",), 3, [0])
    np.testing.assert_array_equal(video.prompts[0], blocks(4))


@pytest.mark.parametrize("folder", ["Annotations", "Annotations/a"])
def test_labels_are_a_folder_of_videos_or_that_of_this_one(root, folder):
    dataset = open_single(root / "JPEGImages/a", root / "first.png", root / folder)
    assert len(dataset.label_masks("a", dataset.video("a")).paths) == 3
    with pytest.raises(InputError, match="does not hold a"):
        open_single(root / "JPEGImages/a", root / "first.png", root / "JPEGImages/b")


def test_boxes_lie_on_the_first_frame(root):
    frames, boxes = frames_and_boxes(root / "JPEGImages/a", [(0, 0, 32, 24), (1, 2, 3.5, 4)])
    assert (len(frames), boxes.shape, boxes.dtype) == (3, (2, 4), np.float32)
    with pytest.raises(InputError, match="32 wide and 24 high"):
        frames_and_boxes(root / "JPEGImages/a", [(0, 0, 24, 32)])
