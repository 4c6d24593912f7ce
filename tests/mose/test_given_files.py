"""Which files hold the given masks of a video."""

import pytest
from layouts import blocks, write_masks

from mose import InputError
from mose.given_files import given_files, object_folders
from mose.readers.folder import list_folder

NUMBERS = {"00003": 3, "00005": 5}


def paths(files):
    return {n: [(m.path.name, m.object_id) for m in masks] for n, masks in files.masks.items()}


def test_folders_come_one_above_the_other(tmp_path):
    write_masks(tmp_path / "a", {"00003": blocks(1), "00005": blocks(1)})
    write_masks(tmp_path / "b", {"5": blocks(2)})
    files = given_files([tmp_path / "a", tmp_path / "b"], "v", NUMBERS)
    assert paths(files) == {3: [("00003.png", None)], 5: [("00005.png", None), ("5.png", None)]}


def test_a_folder_of_one_folder_per_object(tmp_path):
    for name in ("000", "001"):
        write_masks(tmp_path / "a" / name, {"00003": blocks(1)})
    files = given_files([tmp_path / "a"], "v", NUMBERS)
    assert paths(files) == {3: [("00003.png", 1), ("00003.png", 2)]}
    (tmp_path / "a/other").mkdir()
    with pytest.raises(InputError, match=r"folders \(other\)"):
        object_folders(list_folder(tmp_path / "a", "mask"))


def test_one_png_is_the_mask_of_the_first_frame(tmp_path):
    write_masks(tmp_path, {"mask": blocks(1)})
    assert list(given_files([tmp_path / "mask.png"], "v", NUMBERS).masks) == [3]
