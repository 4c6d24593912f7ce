"""Full labels of a video, matched to its frames."""

import numpy as np
import pytest
from layouts import blocks, write_masks, write_video

from mose import InputError
from mose.dataset import open_dataset
from mose.labels import NoLabels, label_paths


def test_labels_keep_what_is_to_be_ignored(tmp_path):
    void = np.where(blocks(1) > 0, 255, 0).astype(np.uint8)
    masks = {"0": blocks(1), "001": void, "2": blocks(1)}
    write_video(tmp_path, "a", masks=masks)
    (tmp_path / "Annotations/a/2.png").rename(tmp_path / "Annotations/a/2.PNG")
    dataset = open_dataset(tmp_path, labels="Annotations")
    labels = dataset.label_masks("a", dataset.video("a"))
    assert [set(np.unique(labels(i))) for i in range(3)] == [{0, 1}, {0, 255}, {0, 1}]
    assert labels.count == "labels of 3 of 3 frames of video a"


def test_labels_that_are_not_there_are_an_error(tmp_path):
    write_video(tmp_path, "a")
    (tmp_path / "Labels/a").mkdir(parents=True)
    dataset = open_dataset(tmp_path, labels="Labels")
    with pytest.raises(NoLabels, match="video a has no label"):
        dataset.label_masks("a", dataset.video("a"))


def test_paths_are_by_the_index_of_the_frame(tmp_path):
    write_video(tmp_path, "a", ("00003", "00005"), {"00003": blocks(1), "00005": blocks(1)})
    dataset = open_dataset(tmp_path)
    paths, strays = label_paths(tmp_path / "Annotations/a", dataset.video("a"))
    names = {index: [given.path.name for given in files] for index, files in paths.items()}
    assert names == {0: ["00003.png"], 1: ["00005.png"]}
    assert strays == ()


def test_labels_without_a_frame_are_strays(tmp_path):
    write_video(tmp_path, "a", ("00000", "00001"), {"00000": blocks(1)})
    write_masks(tmp_path / "Labels/a", {name: blocks(1) for name in ("00001", "00002", "00003")})
    dataset = open_dataset(tmp_path, labels="Labels")
    labels = dataset.label_masks("a", dataset.video("a"))
    assert list(labels.paths) == [1]
    assert [path.name for path in labels.strays] == ["00002.png", "00003.png"]


def test_labels_that_must_be_complete(tmp_path):
    write_video(tmp_path, "a")
    dataset = open_dataset(tmp_path, labels="Annotations")
    with pytest.raises(InputError, match="to train on"):
        dataset.label_masks("a", dataset.video("a")).check_complete("to train on")
