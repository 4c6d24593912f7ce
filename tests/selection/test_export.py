"""Exports: read back by the libraries they are for, they hold the masks that were selected."""

import base64
import dataclasses
import io
import json
import os
import zlib
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from exported_run import FRAMES, HEIGHT, NAMES, WIDTH, write_run
from pycocotools import mask as api
from pycocotools.coco import COCO

from finetune.clip_options import DataOptions
from finetune.data.sources import FolderClips
from mose import InputError
from mose.masks import read_mask
from mose.readers.regions import run_lengths
from selection.evidence import Evidence
from selection.export import __main__ as command
from selection.export import open_run_masks
from selection.export.cvat import write_video
from selection.export.davis import write_davis
from selection.export.labelstudio_video import box_tracks
from selection.export.training import frame_weights
from selection.run_paths import page_name


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


def selected(run, name, index):
    return read_mask(run / "masks" / name / f"{index:05d}.png")


def export(run, tmp_path, form, *more):
    target = tmp_path / "out.json" if form in ("coco", "ytvis") else tmp_path / "out"
    assert command.main([str(run), "--format", form, "--output", str(target), *more]) == 0
    return target


def test_coco_reads_back(run, tmp_path):
    data = COCO(str(export(run, tmp_path, "coco")))
    assert len(data.getImgIds()) == len(NAMES) * FRAMES
    for image in data.loadImgs(data.getImgIds()):
        name, file = image["file_name"].split("/")
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        for annotation in data.loadAnns(data.getAnnIds(imgIds=image["id"])):
            plane = data.annToMask(annotation).astype(bool)
            assert annotation["area"] == plane.sum()
            x, y, width, height = annotation["bbox"]
            assert plane[int(y) : int(y + height), int(x) : int(x + width)].sum() == plane.sum()
            ids[plane] = annotation["track_id"]
        assert file == f"{image['frame_id']:05d}.png"
        assert (ids == selected(run, name, image["frame_id"])).all()


def test_youtube_vis_has_a_track_per_object(run, tmp_path):
    data = json.loads(export(run, tmp_path, "ytvis").read_text())
    assert [video["name"] for video in data["videos"]] == list(NAMES)
    assert len(data["annotations"]) == 4
    for track in data["annotations"]:
        video = data["videos"][track["video_id"] - 1]
        assert len(track["segmentations"]) == len(video["file_names"]) == track["length"]
        for index, code in enumerate(track["segmentations"]):
            wanted = selected(run, video["name"], index) == track["track_id"]
            assert (code is None) == (not wanted.any())
            if code is not None:
                assert (api.decode(code).astype(bool) == wanted).all()
                assert track["areas"][index] == wanted.sum()


def test_training_labels_say_what_to_trust(run, tmp_path):
    folder = export(run, tmp_path, "training")
    weights = json.loads((folder / "weights.json").read_text())
    assert weights["b"]["00000"] == {"3": 1.0, "200": 1.0}
    assert weights["b"]["00001"] == {"3": 0.7, "200": 0.1}
    ids = selected(run, "b", 1)
    exported = read_mask(folder / "Annotations/b/00001.png")
    left_out = ids == 200
    left_out[5] |= ids[5] > 0
    assert (exported == np.where(left_out, 255, ids)).all()
    assert (read_mask(folder / "Annotations/b/00000.png") == 200).any()
    assert (folder / "JPEGImages/b/00003.png").is_file()


def test_training_labels_are_what_the_trainer_reads(run, tmp_path):
    folder = export(run, tmp_path, "training")
    options = DataOptions(
        dataset=str(folder), frames=FRAMES, size=HEIGHT, frame_step=(1, 1), crop=1
    )
    source = FolderClips(options)
    ignored = 0
    for seed in range(4):
        labels = source(np.random.default_rng(seed)).labels
        assert set(np.unique(labels)) <= {0, 3, 200, 255}
        ignored += (labels == 255).sum()
    assert ignored


def test_weights_are_an_average_by_the_members_say():
    evidence = Evidence.blank("v", ("m", "n", "pseudo-label"), np.full(3, 0.5), (1,), ("0", "1"))
    evidence["agreement_j"][1, :, 0] = evidence["agreement_f"][1, :, 0] = 0.2, 1.0, 1.0
    evidence["weight"][1, :, 0] = 0.0, 2.0, np.nan
    assert frame_weights(evidence).tolist() == [[1.0], [1.0]]
    evidence["weight"][1, :2, 0] = 1.0, 1.0
    assert frame_weights(evidence)[1, 0] == pytest.approx(0.6)


def test_label_studio_gets_a_track_of_boxes_per_object(run, tmp_path):
    folder = export(run, tmp_path, "labelstudio-video", "--fps", "10")
    tasks = json.loads((folder / "tasks.json").read_text())
    assert [task["data"]["name"] for task in tasks] == list(NAMES)
    file = tasks[1]["data"]["video"].rpartition("?d=")[2]
    assert cv2.VideoCapture(str(folder / file)).get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    long, short = tasks[1]["annotations"][0]["result"]
    assert [long, short] == box_tracks(open_run_masks(run).videos[1], 10)
    for track, frames, label in ((long, [1, 2, 3, 4], "3"), (short, [1, 2], "200")):
        value = track["value"]
        assert (value["framesCount"], value["duration"], value["labels"]) == (4, 0.4, [label])
        assert [key["frame"] for key in value["sequence"]] == frames
        assert [key["time"] for key in value["sequence"]] == [(n - 1) / 10 for n in frames]
    assert [key["enabled"] for key in long["value"]["sequence"]] == [True] * 4
    assert [key["enabled"] for key in short["value"]["sequence"]] == [True, False]
    first = long["value"]["sequence"][0]
    sides = [WIDTH - 1, HEIGHT - 1]
    assert [first[k] for k in ("x", "y")] == [100 * 4 / sides[0], 100 * 5 / sides[1]]
    assert [first[k] for k in ("width", "height")] == [100 * 16 / sides[0], 100 * 10 / sides[1]]
    config = ElementTree.parse(folder / "config.xml").getroot()
    names = {long["from_name"], long["to_name"]}
    assert names <= {tag.get("name") for tag in config}
    assert {tag.get("value") for tag in config.iter("Label")} == {"3", "200"}


def test_overlay_video_plays(run, tmp_path):
    folder = export(run, tmp_path, "overlay", "--videos", "b")
    assert [path.name for path in folder.iterdir()] == ["b.mp4"]
    video = cv2.VideoCapture(str(folder / "b.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) == FRAMES
    assert frames[0].shape == (HEIGHT - 1, WIDTH - 1, 3)
    inside, outside = frames[1][10, 12].astype(int), frames[1][30, 4].astype(int)
    assert abs(inside - outside).max() > 30


def test_bad_input(run, tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        export(tmp_path, tmp_path, "coco")
    with pytest.raises(InputError, match="no finished video x"):
        export(run, tmp_path, "coco", "--videos", "x")
    with pytest.raises(InputError, match="not an empty folder"):
        command.main([str(run), "--format", "training", "--output", str(run)])
    (tmp_path / "images" / "b" / "00002.png").unlink()
    with pytest.raises(InputError, match="00002"):
        export(run, tmp_path, "overlay")


def test_cvat_holds_every_mask_with_its_object(run, tmp_path):
    folder = export(run, tmp_path, "cvat")
    assert sorted(path.name for path in folder.iterdir()) == [
        *sorted(f"{page_name(name)}.xml" for name in NAMES), "labels.json",
    ]  # fmt: skip
    (label,) = json.loads((folder / "labels.json").read_text())
    root = ElementTree.parse(folder / "b.xml").getroot()
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == str(FRAMES)
    assert root.findtext("meta/task/labels/label/name") == label["name"]
    assert root.findtext("meta/task/original_size/width") == str(WIDTH)
    read = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    for track in root.iter("track"):
        assert track.get("label") == label["name"]
        shapes = track.findall("mask")
        shown = [shape for shape in shapes if shape.get("outside") == "0"]
        assert len(shown) == 1  # CVAT reads the first mask of a track alone
        assert shapes[0] is shown[0]
        shape = shown[0]
        left, top, width, height = (int(shape.get(k)) for k in ("left", "top", "width", "height"))
        counts = [int(count) for count in shape.get("rle").split(",")]
        plane = np.repeat(np.arange(len(counts)) % 2, counts).reshape(height, width)
        object_id = int(shape.findtext("attribute[@name='object']"))
        target = read[int(shape.get("frame")), top : top + height, left : left + width]
        target[plane > 0] = object_id
    for index in range(FRAMES):
        assert (read[index] == selected(run, "b", index)).all()


def test_cvat_run_lengths_start_with_zeros():
    assert run_lengths(np.array([[0, 1, 1], [1, 0, 0]], bool)) == [1, 3, 2]
    assert run_lengths(np.array([[1, 0], [0, 1]], bool)) == [0, 1, 2, 1]


def test_cvat_survives_a_name_that_is_no_xml(run, tmp_path):
    video = open_run_masks(run, ("b",)).videos[0]
    write_video(dataclasses.replace(video, name="<a>&\x01\udc80"), tmp_path / "x.xml")
    task = ElementTree.parse(tmp_path / "x.xml").getroot().find("meta/task")
    assert task.findtext("name") == "<a>&\ufffd\ufffd"


def test_the_list_of_davis_names_folders_as_they_are(run, tmp_path):
    opened = open_run_masks(run, ("b",))
    named = dataclasses.replace(opened.videos[0], name=os.fsdecode(b"b\xff"))
    write_davis(dataclasses.replace(opened, videos=(named,)), tmp_path / "out")
    assert (tmp_path / "out/ImageSets/2017/val.txt").read_bytes() == b"b\xff\n"


def test_fiftyone_holds_frames_and_masks(run, tmp_path):
    folder = export(run, tmp_path, "fiftyone")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["type"] == "eta.core.datasets.LabeledVideoDataset"
    assert len(manifest["index"]) == len(NAMES)
    for entry, name in zip(manifest["index"], NAMES, strict=True):
        movie = cv2.VideoCapture(str(folder / entry["data"]))
        assert int(movie.get(cv2.CAP_PROP_FRAME_COUNT)) == FRAMES
        height = int(movie.get(cv2.CAP_PROP_FRAME_HEIGHT))
        width = int(movie.get(cv2.CAP_PROP_FRAME_WIDTH))
        frames = json.loads((folder / entry["labels"]).read_text())["frames"]
        assert list(frames) == ["1", "2", "3", "4"]
        for number, frame in frames.items():
            assert frame["frame_number"] == int(number)
            ids = np.zeros((height, width), np.uint8)
            for item in frame["objects"]["objects"]:
                assert item["label"] == f"object {item['index']}"
                array = zlib.decompress(base64.b64decode(item["mask"]))
                mask = np.load(io.BytesIO(array), allow_pickle=False)
                corners = item["bounding_box"]["top_left"], item["bounding_box"]["bottom_right"]
                (left, top), (right, bottom) = (
                    (round(c["x"] * width), round(c["y"] * height)) for c in corners
                )
                assert mask.shape == (bottom - top, right - left)
                ids[top:bottom, left:right][mask] = item["index"]
            assert (ids == selected(run, name, int(number) - 1)[:height, :width]).all()
