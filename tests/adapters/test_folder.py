"""Masks made elsewhere as a member."""

import shutil

import numpy as np
import pytest
from layouts import SIZE, blocks, write_masks, write_video
from PIL import Image

import adapters
from adapters.folder import UNKNOWN_QUALITY, FolderSegmenter
from mose import InputError
from mose.dataset import open_dataset
from mose.masks import write_mask

FRAMES = ("00000", "00005", "00010")


@pytest.fixture
def video(tmp_path):
    """Objects 2 and 7 from the start, 9 from frame 1 on."""
    masks = {"00000": blocks(2, 7), "00005": blocks(0, 0, 9)}
    write_video(tmp_path / "data", "cat", FRAMES, masks)
    return open_dataset(tmp_path / "data").video("cat")


@pytest.fixture
def folder(tmp_path):
    masks = [blocks(2, 7), blocks(2, 7, 9), blocks(7, 2, 0, shift=1)]
    write_masks(tmp_path / "theirs" / "cat", dict(zip(FRAMES, masks, strict=True)))
    write_masks(tmp_path / "theirs" / "dog", {"00000": blocks(1)})
    return tmp_path / "theirs"


def segmented(path, video):
    return list(adapters.load("folder", path=str(path)).segment(video))


def refused(path, video, match):
    with pytest.raises(InputError, match=match) as error:
        segmented(path, video)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def as_objects(folder, video, name=str, values=(0, 255)):
    """The same masks in a folder per object."""
    target = folder.parent / "objects" / "cat"
    for object_id in video.object_ids:
        (target / name(object_id)).mkdir(parents=True)
        for path in (folder / "cat").glob("*.png"):
            mask = np.array(Image.open(path)) == object_id
            binary = np.where(mask, values[1], values[0]).astype(np.uint8)
            Image.fromarray(binary).save(target / name(object_id) / path.name)
    return target.parent


def test_serves_the_masks_as_they_are(folder, video):
    frames = segmented(folder, video)
    assert [frame.object_ids for frame in frames] == [(2, 7), (2, 7, 9), (2, 7, 9)]
    for frame, name in zip(frames, FRAMES, strict=True):
        mask = np.array(Image.open(folder / "cat" / f"{name}.png"))
        assert np.array_equal(frame.labels(*SIZE), mask)
        assert frame.presence.tolist() == [float((mask == i).any()) for i in frame.object_ids]
        assert frame.confidence.tolist() == [0.5] * len(frame.object_ids)


def test_every_form_gives_the_same(folder, video):
    expected = [frame.native for frame in segmented(folder, video)]
    forms = [
        shutil.make_archive(str(folder.parent / "plain"), "zip", folder),
        shutil.make_archive(str(folder.parent / "wrapped"), "zip", folder.parent, "theirs"),
        as_objects(folder, video),
    ]
    forms.append(shutil.make_archive(str(folder.parent / "objects"), "zip", forms[-1]))
    forms[2] = forms[2].rename(folder.parent / "objects 255")
    forms.append(as_objects(folder, video, name="{:03d}".format, values=(0, 1)))
    for form in forms:
        for frame, native in zip(segmented(form, video), expected, strict=True):
            assert np.array_equal(frame.native, native), form


def test_grey_masks_hold_ids_too(folder, video):
    for path in (folder / "cat").iterdir():
        Image.fromarray(np.array(Image.open(path))).save(path)
    assert np.array_equal(segmented(folder, video)[1].native, blocks(2, 7, 9))


def test_an_object_is_not_there_before_it_is_given(folder, video):
    write_mask(folder / "cat" / "00000.png", blocks(2, 7, 9))
    first = segmented(folder, video)[0]
    assert np.array_equal(first.native, np.where(blocks(2, 7, 9) == 9, 0, blocks(2, 7, 9)))


class TestPerObject:
    def test_a_mask_may_be_missing_before_its_object_is_given(self, folder, video):
        objects = as_objects(folder, video)
        (objects / "cat/9/00000.png").unlink()
        assert len(segmented(objects, video)) == 3
        (objects / "cat/9/00010.png").unlink()
        refused(objects, video, r"no mask cat/9/00010\.png")

    def test_where_masks_overlap_the_lower_id_keeps_the_pixel(self, folder, video):
        objects = as_objects(folder, video)
        whole = np.full(SIZE, 255, np.uint8)
        for object_id in (7, 9):
            Image.fromarray(whole).save(objects / f"cat/{object_id}/00010.png")
        ids = segmented(objects, video)[2].native
        assert set(np.unique(ids)) == {2, 7}

    def test_an_antialiased_mask(self, folder, video):
        objects = as_objects(folder, video)
        grey = np.linspace(0, 255, SIZE[0] * SIZE[1]).astype(np.uint8).reshape(SIZE)
        Image.fromarray(grey).save(objects / "cat/7/00005.png")
        refused(objects, video, r"cat/7/00005\.png holds 255 values beside 0")

    @pytest.mark.parametrize("name", ["person", "0", "255", "²"])
    def test_a_folder_that_is_no_object(self, folder, video, name):
        objects = as_objects(folder, video)
        (objects / "cat/7").rename(objects / "cat" / name)
        refused(objects, video, f"cat/{name} is not named by an object id")

    def test_an_object_that_is_not_given(self, folder, video):
        objects = as_objects(folder, video)
        shutil.copytree(objects / "cat/7", objects / "cat/8")
        refused(objects, video, "cat/8 holds an object that the given masks")

    def test_an_object_that_is_missing(self, folder, video):
        objects = as_objects(folder, video)
        shutil.rmtree(objects / "cat/7")
        refused(objects, video, r"no mask cat/7/00000\.png \(and 2 more\)")


class TestBadInput:
    def test_no_path(self):
        with pytest.raises(InputError, match="needs the option 'path'"):
            adapters.load("folder")

    def test_path_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="nope does not exist"):
            adapters.load("folder", path=str(tmp_path / "nope"))

    def test_video_that_is_not_there(self, folder, video):
        shutil.rmtree(folder / "cat")
        refused(folder, video, "holds no masks of video cat: expected cat/00000.png")

    def test_missing_frame(self, folder, video):
        (folder / "cat/00005.png").unlink()
        refused(folder, video, r"video cat has no mask cat/00005\.png")

    def test_wrong_name(self, folder, video):
        (folder / "cat/00005.png").rename(folder / "cat/5.png")
        refused(folder, video, r"no mask cat/00005\.png")
        shutil.copy(folder / "cat/5.png", folder / "cat/00005.png")
        refused(folder, video, r"cat/5\.png belongs to no frame")

    def test_wrong_size(self, folder, video):
        write_mask(folder / "cat/00005.png", blocks(2, size=(5, 7)))
        refused(folder, video, r"cat/00005\.png is 5 x 7, but video cat is 24 x 32")

    def test_rgb(self, folder, video):
        Image.new("RGB", SIZE[::-1]).save(folder / "cat/00005.png")
        refused(folder, video, r"cat/00005\.png has mode RGB")

    def test_truncated(self, folder, video):
        path = folder / "cat/00005.png"
        path.write_bytes(path.read_bytes()[:-40])
        refused(folder, video, r"cat/00005\.png cannot be decoded")

    def test_id_that_is_not_given(self, folder, video):
        write_mask(folder / "cat/00005.png", blocks(2, 8))
        refused(folder, video, r"cat/00005\.png holds id 8")

    def test_no_frame_is_served_of_a_video_that_is_not_whole(self, folder, video):
        (folder / "cat/00010.png").unlink()
        answers = adapters.load("folder", path=str(folder)).segment(video)
        with pytest.raises(InputError):
            next(answers)


def test_masks_without_an_estimate_are_believed_by_half(folder, video):
    frames = list(FolderSegmenter(path=str(folder)).segment(video))
    assert {float(value) for frame in frames for value in frame.confidence} == {UNKNOWN_QUALITY}
