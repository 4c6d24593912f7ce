"""Data sets on disk: layouts, splits, masks, labels."""

import json
import pickle

import numpy as np
import pytest
from layouts import SIZE, blocks, write_frames, write_masks, write_video
from PIL import Image

from mose import InputError
from mose.dataset import open_dataset
from mose.layout import is_dataset, split_folders
from mose.meta import VideoMeta


def refused(match, *arguments, **options):
    with pytest.raises(InputError, match=match) as error:
        open_dataset(*arguments, **options)
    assert "\n" not in str(error.value)


@pytest.fixture
def mose(tmp_path):
    """MOSE: train and valid with two videos each."""
    for split in ("train", "valid"):
        for name in ("b", "a"):
            write_video(tmp_path / "MOSE" / split, f"{split}-{name}")
    return tmp_path / "MOSE"


@pytest.fixture
def flat(tmp_path):
    write_video(tmp_path / "clips", "cat")
    return tmp_path / "clips"


class TestSplits:
    @pytest.mark.parametrize("asked", ["valid", "val"])
    def test_by_the_usual_folder_names(self, mose, asked):
        dataset = open_dataset(mose, asked)
        assert (dataset.name, dataset.split) == ("MOSE", "valid")
        assert dataset.videos == ("valid-a", "valid-b")
        assert len(dataset) == 2
        assert split_folders(mose) == ("train", "valid")

    def test_a_folder_called_val_is_valid(self, mose):
        (mose / "valid").rename(mose / "val")
        for asked in ("valid", "val"):
            assert open_dataset(mose, asked).videos == ("valid-a", "valid-b")

    def test_any_other_folder_can_be_asked_for(self, mose):
        write_video(mose / "valid_all_frames", "x")
        assert open_dataset(mose, "valid_all_frames").videos == ("x",)

    def test_one_split_needs_no_name_several_do(self, mose, tmp_path):
        refused("several splits: choose train, valid", mose)
        write_video(tmp_path / "one" / "test", "x")
        assert open_dataset(tmp_path / "one").split == "test"

    def test_a_split_that_is_not_there(self, mose):
        refused("unknown split 'test' .*valid are train, valid", mose, "test")
        refused("did you mean 'train'", mose, "trian")

    @pytest.mark.parametrize("asked", ["train", "valid", "val", "test"])
    def test_a_root_that_is_one_split_serves_any(self, flat, asked):
        dataset = open_dataset(flat, asked)
        assert dataset.videos == ("cat",)
        assert dataset.split == {"val": "valid"}.get(asked, asked)
        assert dataset.name == "clips"

    def test_a_root_that_is_one_split_has_no_others(self, flat):
        assert open_dataset(flat).split == "all"
        refused("unknown split 'tset'", flat, "tset")

    def test_a_split_given_outright_is_not_another(self, mose):
        dataset = open_dataset(mose / "valid")
        assert (dataset.name, dataset.split) == ("MOSE", "valid")
        assert open_dataset(mose / "valid", "val").videos == dataset.videos
        refused("is the split 'valid', not 'test'", mose / "valid", "test")


class TestDavis:
    @pytest.fixture
    def davis(self, tmp_path):
        root = tmp_path / "DAVIS"
        binary = np.where(blocks(1) > 0, 255, 0).astype(np.uint8)
        for name in ("bear", "camel", "dog"):
            write_video(root, name, masks={"00000": binary}, inner="480p")
            write_video(root, name, masks={"00000": blocks(1, 2)}, inner="Full-Resolution")
        lists = {"2017/train": "bear\ndog\n", "2017/val": "camel\n", "2016/val": "dog\n\n"}
        lists["2017/test-dev"] = "dog"
        lists["480p/old"] = "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n"
        for name, text in lists.items():
            (root / "ImageSets" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "ImageSets" / f"{name}.txt").write_text(text)
        return root

    @pytest.mark.parametrize(
        ("split", "videos"),
        [
            ("train", ("bear", "dog")),
            ("val", ("camel",)),
            ("valid", ("camel",)),
            ("2016/val", ("dog",)),
            ("test", ("dog",)),
            ("test-dev", ("dog",)),
            ("old", ("bear",)),
            (None, ("bear", "camel", "dog")),
        ],
    )
    def test_lists_name_the_videos_of_a_split(self, davis, split, videos):
        assert open_dataset(davis, split).videos == videos

    def test_binary_masks_are_object_1(self, davis):
        video = open_dataset(davis, "val").video("camel")
        assert video.object_ids == (1,)
        assert len(video) == 3

    def test_the_resolution_of_the_masks_decides(self, davis):
        dataset = open_dataset(davis, "val", annotations="Annotations/Full-Resolution")
        assert dataset.images.name == "Full-Resolution"
        assert dataset.video("camel").object_ids == (1, 2)

    def test_a_list_with_a_video_that_is_not_there(self, davis):
        (davis / "ImageSets/2017/val.txt").write_text("camel\nzebra\n")
        refused(r"video zebra .*is not in .*\(1 of 2 are missing\)", davis, "val")

    def test_an_empty_list(self, davis):
        (davis / "ImageSets/2017/val.txt").write_text("\n")
        refused("names no video", davis, "val")

    def test_a_list_that_is_not_there(self, davis):
        (davis / "ImageSets/2017/test-dev.txt").unlink()
        refused("unknown split 'test'.*train, val", davis, "test")


class TestMasks:
    def test_several_folders(self, flat):
        write_masks(flat / "Annotations_later" / "cat", {"00002": blocks(9)})
        folders = ["Annotations", flat / "Annotations_later"]
        assert open_dataset(flat, annotations=folders).video("cat").object_ids == (1, 5, 9)
        assert open_dataset(flat).video("cat").object_ids == (1, 5)

    def test_folders_relative_to_the_current_one(self, flat, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_masks(tmp_path / "mine" / "cat", {"00001": blocks(4)})
        assert open_dataset(flat, annotations="mine").video("cat").object_ids == (4,)

    def test_missing_folders(self, flat):
        refused("Later of given masks does not exist", flat, annotations=["Annotations", "Later"])
        refused("Labels of labels does not exist", flat, labels="Labels")
        (flat / "Annotations").rename(flat / "Elsewhere")
        refused("Annotations of given masks does not exist", flat)

    def test_a_video_without_masks(self, flat):
        write_frames(flat / "JPEGImages" / "dog", ["00000"])
        with pytest.raises(InputError, match="video dog has no given masks: expected"):
            open_dataset(flat).video("dog")

    def test_masks_of_a_video_without_frames(self, flat):
        write_masks(flat / "Annotations" / "lost", {"00000": blocks(1)})
        [note] = open_dataset(flat).notes
        assert note.file == "lost"
        assert "belongs to no video of" in note.sentence

    def test_labels(self, flat):
        write_masks(flat / "Full" / "cat", {"00000": blocks(1, 5)})
        dataset = open_dataset(flat, labels="Full")
        assert dataset.labels == flat / "Full"
        assert dataset.labels_folder("cat") == flat / "Full" / "cat"
        with pytest.raises(InputError, match="opened without labels"):
            open_dataset(flat).labels_folder("cat")


class TestVideos:
    def test_a_name_that_is_not_there(self, mose):
        dataset = open_dataset(mose, "train")
        for access in (dataset.video, dataset.labels_folder):
            with pytest.raises(InputError, match="did you mean 'train-a'"):
                access("train-aa")

    def test_steps_of_five(self, tmp_path):
        frames = ["00000", "00005", "00010"]
        masks = {"00000": blocks(1), "00010": blocks(1, 2)}
        write_video(tmp_path / "valid", "x", frames, masks)
        video = open_dataset(tmp_path, "valid").video("x")
        assert video.frame_names == tuple(frames)
        assert list(video.prompts) == [0, 2]

    def test_hidden_folders_and_files_are_no_videos(self, flat):
        (flat / "JPEGImages" / ".cache").mkdir()
        (flat / "JPEGImages" / "readme.txt").write_text("")
        assert open_dataset(flat).videos == ("cat",)

    def test_empty_folders(self, tmp_path):
        refused("holds no data set: expected JPEGImages", tmp_path)
        refused("holds no data set: expected JPEGImages", tmp_path, "test")
        refused("nope does not exist", tmp_path / "nope")
        (tmp_path / "JPEGImages").mkdir()
        refused("JPEGImages holds no videos", tmp_path)

    def test_opening_decodes_and_lists_no_video(self, flat):
        for path in [*flat.glob("*/cat/*")]:
            path.unlink()
        assert open_dataset(flat).videos == ("cat",)

    def test_a_data_set_travels_between_processes(self, mose):
        dataset = open_dataset(mose, "train")
        again = pickle.loads(pickle.dumps(dataset))
        assert again == dataset
        assert len(again.video("train-a")) == len(dataset.video("train-a"))


class TestMeta:
    @pytest.mark.parametrize("objects", [["1", "2", "7"], {"7": {}, "1": {}, "2": {}}])
    @pytest.mark.parametrize(
        "place", ["valid/meta.json", "valid/meta_valid.json", "meta_valid.json", "meta_val.json"]
    )
    def test_what_the_meta_file_says(self, mose, place, objects):
        entry = {"length": 99, "height": 1080, "width": 1920, "objects": objects}
        (mose / place).write_text(json.dumps({"videos": {"valid-a": entry, "valid-b": {}}}))
        meta = open_dataset(mose, "valid").meta
        assert meta == {"valid-a": VideoMeta(99, 1080, 1920, (1, 2, 7)), "valid-b": VideoMeta()}

    def test_without_one(self, mose):
        assert open_dataset(mose, "valid").meta == {}

    @pytest.mark.parametrize(
        "text",
        ["{", "[]", '{"video": {}}', '{"videos": {"a": 3}}', '{"videos": {"a": {"length": "x"}}}'],
    )
    def test_a_damaged_meta_file(self, mose, text):
        (mose / "valid/meta.json").write_text(text)
        with pytest.raises(InputError, match=r"meta\.json is damaged"):
            _ = open_dataset(mose, "valid").meta


def test_is_dataset(mose, flat, tmp_path):
    assert is_dataset(mose)
    assert is_dataset(flat)
    assert not is_dataset(flat / "JPEGImages")
    assert not is_dataset(tmp_path / "nope")


def test_frames_may_be_png(tmp_path):
    write_masks(tmp_path / "Annotations" / "x", {"00000": blocks(1)})
    (tmp_path / "JPEGImages" / "x").mkdir(parents=True)
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "JPEGImages" / "x" / "00000.png")
    assert len(open_dataset(tmp_path).video("x")) == 1
