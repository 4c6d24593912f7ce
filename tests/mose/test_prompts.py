"""Given masks: which objects appear where."""

import numpy as np
import pytest
from layouts import blocks, write_frames, write_masks

from mose import open_video
from mose.masks import write_mask
from mose.prompts import GivenMask, Prompts


def test_an_object_is_prompted_where_it_first_appears():
    prompts = Prompts({2: blocks(1, 2), 0: blocks(1), 3: blocks(2)})
    assert list(prompts) == [0, 2]
    assert [prompts.ids(index) for index in range(4)] == [(1,), (), (2,), ()]
    assert set(np.unique(prompts[2])) == {0, 2}
    assert prompts.shape(2) == blocks(1).shape
    assert 3 not in prompts


def test_files_of_one_object_each_are_merged_with_the_smaller_in_front(tmp_path):
    large, small = np.zeros((2, 8, 8), np.uint8)
    large[1:7, 1:7] = small[3:5, 3:5] = 1
    files = []
    for object_id, mask in ((3, large), (7, small)):
        write_mask(tmp_path / f"{object_id}.png", mask)
        files.append(GivenMask(tmp_path / f"{object_id}.png", object_id))
    prompts = Prompts({0: tuple(files)})
    assert prompts.per_object
    assert prompts.paths() == tuple(file.path for file in files)
    assert prompts.source(0) == str(files[0].path)
    assert np.array_equal(prompts[0], np.where(small > 0, 7, large * 3))


def test_what_another_object_hides_is_known_of_a_video_whose_objects_overlap(tmp_path):
    whole = {1: np.zeros((12, 16), np.uint8), 2: np.zeros((12, 16), np.uint8)}
    whole[1][2:9, 2:10], whole[2][4:8, 5:9] = 1, 1
    write_frames(tmp_path / "frames", ["00000", "00001"], (12, 16))
    for i, plane in whole.items():
        write_masks(tmp_path / "masks" / f"{i:03d}", {"00000": plane})
    plain = open_video(tmp_path / "frames", tmp_path / "masks")
    assert plain.given(0).plane(1).sum() == 56 - 16
    video = plain.with_overlap()
    for shown in (video, video.over(video), video.excerpt({}, 0, 2)):
        given = shown.given(0)
        assert list(given.whole) == [1]
        for i, plane in whole.items():
            assert np.array_equal(given.plane(i), plane > 0)
        assert np.array_equal(given.mask, plain.given(0).mask)
    flipped = video.over(video, lambda mask: np.ascontiguousarray(mask[:, ::-1])).given(0)
    assert np.array_equal(flipped.plane(1), whole[1][:, ::-1] > 0)


def test_255_beside_ids_is_ignored():
    mask = blocks(1, 2)
    mask[0] = 255
    prompts = Prompts({0: mask})
    assert prompts.ids(0) == (1, 2)
    assert prompts.ignored == (0,)
    assert 255 not in prompts[0]


@pytest.mark.parametrize("turned", [False, True])
def test_a_mask_of_ids_and_one_of_an_object_are_one(tmp_path, turned):
    write_masks(tmp_path, {"ids": blocks(3, 0), "object": np.uint8(255) * (blocks(0, 3) > 0)})
    files = (GivenMask(tmp_path / "ids.png"), GivenMask(tmp_path / "object.png", 9))
    prompts = Prompts({0: files[::-1] if turned else files})
    assert prompts.ids(0) == (3, 9)
    assert np.array_equal(prompts[0], blocks(3, 9))
