"""What is exported comes back pixel by pixel, and what tools give back is read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from exported_run import FRAMES, HEIGHT, NAMES, WIDTH, write_run
from hypothesis import given
from hypothesis.extra import numpy as hnp

from mose import InputError
from mose.masks import read_mask
from selection.export import __main__ as export
from selection.export.brush import decode, encode
from selection.export.davis import INNER
from selection.export.labelstudio import LOCAL_FILES
from selection.imports import __main__ as command
from selection.imports import cvat, labelstudio
from selection.imports.coco import plane
from selection.imports.source import read_folders, read_videos, write_videos
from selection.imports.video import ImportedVideo

FORMS = ("coco", "ytvis", "cvat", "labelstudio", "davis")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def exported(run: Path, form: str) -> Path:
    target = run.parent / (f"{form}.json" if form in ("coco", "ytvis") else form)
    assert export.main([str(run), "--format", form, "--output", str(target)]) == 0
    return target


@pytest.mark.parametrize("form", FORMS)
def test_every_form_comes_back_pixel_by_pixel(run, form, tmp_path):
    back = tmp_path / "back"
    assert command.main([str(exported(run, form)), str(back)]) == 0
    for name in NAMES:
        there = sorted((back / "Annotations" / name).glob("*.png"))
        assert [path.stem for path in there] == [f"{n:05d}" for n in range(FRAMES)]
        for path in there:
            assert np.array_equal(read_mask(path), read_mask(run / "masks" / name / path.name))


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_brush_masks_come_back(mask):
    assert np.array_equal(decode(encode(mask), *mask.shape), mask)


def test_brush_masks_of_label_studio_itself():
    """Made by `mask2rle` of label-studio-converter 0.0.59 of a 5 x 7 mask: rows 1 to 3, columns 2
    to 4 are set, and the last pixel."""
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:5] = mask[4, 6] = True
    code = list(base64.b64decode(LABEL_STUDIO))
    assert np.array_equal(decode(code, 5, 7), mask)
    assert encode(mask) == code


LABEL_STUDIO = "AAAAjDkb/iMAt/98At/98At/+HwCP/A="


@pytest.mark.parametrize("code", [[], [0, 0, 0, 140, 57, 37], encode(np.ones((3, 3), bool))])
def test_damaged_brush_masks(code):
    with pytest.raises(ValueError, match="run-lengths"):
        decode(code, 5, 7)


def test_frames_give_cvat_their_names(run, tmp_path):
    target = exported(run, "cvat")
    for name in NAMES:
        for number, path in enumerate(sorted((tmp_path / "images" / name).iterdir())):
            path.rename(path.with_name(f"img{10 * number:03d}.png"))
    videos = read_videos(target, tmp_path / "images")
    assert [list(video.stems) for video in videos] == [["img000", "img010", "img020", "img030"]] * 2
    next((tmp_path / "images" / "b").iterdir()).unlink()
    with pytest.raises(InputError, match="video b has 4 frames in CVAT's file, but 3"):
        read_videos(target, tmp_path / "images")


def test_tasks_without_our_data_and_with_other_labels(run, tmp_path):
    path = exported(run, "labelstudio") / "tasks.json"
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["data"] = {"image": task["data"]["image"]}
        for result in task["annotations"][0]["result"]:
            result["value"]["brushlabels"] = ["thing"]
    path.write_text(json.dumps(tasks))
    videos = read_videos(path)
    assert [video.name for video in videos] == list(NAMES)
    assert set(videos[0].planes(0)) == {1, 2}


def test_tasks_of_videos_hold_no_masks(run):
    target = exported(run, "labelstudio-video")
    with pytest.raises(InputError, match="has boxes and no masks: import tasks of frames"):
        read_videos(target)


def test_the_image_of_a_task_tells_video_and_frame():
    task = {"data": {"image": f"{LOCAL_FILES}a video/00012.jpg"}}
    assert labelstudio.place(task) == ("a video", "00012")


def test_a_file_of_cvat_by_itself(run):
    video = cvat.read(exported(run, "cvat") / "b.xml", None)
    assert (video.name, video.size, len(video.stems)) == ("b", (HEIGHT, WIDTH), FRAMES)
    assert set(video.planes(0)) == {3, 200}


def test_folders_of_davis_have_lists_and_frames(run):
    target = exported(run, "davis")
    assert (target / "ImageSets" / "2017" / "val.txt").read_text().splitlines() == list(NAMES)
    assert (target / "JPEGImages" / INNER / "b" / "00000.png").is_file()
    assert [video.name for video in read_folders(target)] == list(NAMES)


def test_uncompressed_run_lengths():
    assert plane({"size": [2, 3], "counts": [1, 2, 3]}, 2, 3).tolist() == [
        [False, True, False],
        [True, False, False],
    ]
    with pytest.raises(InputError, match="polygons"):
        plane([[0, 0, 1, 1, 2, 2]], 2, 3)


def test_objects_that_overlap_and_ids_that_are_none(tmp_path):
    large, small = np.zeros((2, HEIGHT, WIDTH), bool)
    large[:20, :20], small[5:9, 5:9] = True, True
    video = ImportedVideo("v", ["00000"], (HEIGHT, WIDTH), lambda _: {2: small, 1: large})
    assert video.ids(0)[6, 6] == 2
    assert video.ids(0)[1, 1] == 1
    assert write_videos([video], tmp_path) == 1
    bad = ImportedVideo("v", ["00000"], (HEIGHT, WIDTH), lambda _: {255: small})
    with pytest.raises(InputError, match="has an object 255"):
        bad.ids(0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xml", "<annotations>"),
        ("b.xml", "<annotations><meta/></annotations>"),
        ("c.json", "[{}]"),
        ("d.json", '{"annotations": [{}], "videos": [{}]}'),
        ("e.json", "{}"),
        ("f.txt", ""),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=r"damaged|known form"):
        read_videos(tmp_path / name)


def test_the_output_must_be_new(run, tmp_path):
    with pytest.raises(InputError, match="is not an empty folder"):
        command.main([str(exported(run, "davis")), str(tmp_path)])
    with pytest.raises(InputError, match="does not exist"):
        command.main([str(tmp_path / "nothing"), str(tmp_path / "new")])
