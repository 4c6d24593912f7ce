"""Parts of building a MOSE+: names, sizes, the folder, lists."""

import numpy as np
import pytest
from layouts import SIZE, blocks, write_frames, write_masks

from mose import InputError
from mose.frames import FrameFiles
from mose.masks import read_mask
from mose.plus.build import claim, clip_names, link, scaled_size, write_clip
from mose.plus.clip import ClipFrames, PngMasks, SourceClip, number_objects
from mose.prompts import GivenMask


@pytest.fixture
def clip(tmp_path):
    """Three frames, on the first of which there is nothing; objects 9, then 4."""
    names = ("00000", "00001", "00002")
    write_frames(tmp_path / "frames", names)
    masks = (np.zeros(SIZE, np.uint8), blocks(9), blocks(4, 9))
    write_masks(tmp_path / "masks", dict(zip(names, masks, strict=True)))
    frames = FrameFiles([tmp_path / "frames" / f"{name}.jpg" for name in names])
    files = tuple((GivenMask(tmp_path / "masks" / f"{name}.png"),) for name in names)
    return SourceClip("davis", "a b", ClipFrames.of(frames), PngMasks(files))


def test_objects_are_numbered_as_they_appear(clip):
    assert number_objects(clip) == {9: 1, 4: 2}
    part = clip.part(2, 3, "cut")
    assert (len(part), number_objects(part), part.notes) == (1, {4: 1, 9: 2}, ("cut",))


def test_a_clip_is_written_from_its_first_object_on(clip, tmp_path):
    write_clip(clip, tmp_path, "davis_a_b", 0)
    masks = sorted((tmp_path / "Annotations/davis_a_b").iterdir())
    assert [path.name for path in masks] == ["00000.png", "00001.png"]
    assert np.array_equal(read_mask(masks[0]), blocks(1))
    assert np.array_equal(read_mask(masks[1]), blocks(2, 1))
    frames = sorted((tmp_path / "JPEGImages/davis_a_b").iterdir())
    assert frames[0].read_bytes() == clip.frames.path(1).read_bytes()


def test_what_is_to_be_ignored_stays_255(clip, tmp_path):
    void = np.where(blocks(9) > 0, 255, 0).astype(np.uint8)
    both = np.where(blocks(0, 4) > 0, 255, blocks(9)).astype(np.uint8)
    write_masks(tmp_path / "masks", {"00000": void, "00001": both, "00002": void})
    write_clip(clip, tmp_path, "a", 0)
    masks = [read_mask(path) for path in sorted((tmp_path / "Annotations/a").iterdir())]
    assert np.array_equal(masks[0], np.where(both == 9, 1, both))
    assert np.array_equal(masks[1], void)


def test_a_mask_of_another_size_is_refused(clip, tmp_path):
    write_masks(tmp_path / "masks", {"00001": blocks(9, size=(5, 5))})
    with pytest.raises(InputError, match="is 5 x 5, the frame"):
        clip.mask(1)


def test_names_are_safe_and_told_apart(clip):
    assert clip_names([clip, clip]) == ["davis_a_b", "davis_a_b_2"]


@pytest.mark.parametrize(
    ("shape", "longest", "size"),
    [((40, 64), 0, None), ((40, 64), 64, None), ((40, 64), 32, (32, 20)), ((1, 99), 9, (9, 1))],
)
def test_the_longest_side_bounds_the_size(shape, longest, size):
    assert scaled_size(shape, longest) == size


def test_a_folder_with_other_things_is_not_claimed(tmp_path):
    claim(tmp_path / "new")
    (tmp_path / "new/.measures").mkdir()
    (tmp_path / "new/clips.csv").touch()
    claim(tmp_path / "new")
    with pytest.raises(InputError, match="holds other things"):
        claim(tmp_path)


def test_a_link_has_the_content_of_its_source(tmp_path):
    (tmp_path / "a").write_text("content")
    link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "content"
