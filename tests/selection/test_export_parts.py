"""What exports write of one frame."""

import base64
import io
import zlib

import numpy as np

from selection.export.coco import segments
from selection.export.fiftyone import detections, packed
from selection.export.overlay import blend
from selection.export.source import VideoMasks, box

IDS = np.zeros((10, 20), np.uint8)
IDS[2:6, 5:15] = 3


def test_a_box_is_half_open():
    assert box(IDS == 3) == (2, 6, 5, 15)


def test_coco_has_a_box_and_an_area_per_object(tmp_path):
    video = VideoMasks("v", (3, 8), ("00000",), IDS.shape, tmp_path, tmp_path)
    ((object_id, segment),) = segments(IDS, video)
    assert object_id == 3
    assert (segment["bbox"], segment["area"]) == ([5, 2, 10, 4], 40)
    assert segment["segmentation"]["size"] == [10, 20]


def test_fiftyone_has_relative_boxes_and_packed_masks():
    (found,) = detections(IDS, (3, 8))
    assert (found["index"], found["label"]) == (3, "object 3")
    assert found["bounding_box"]["top_left"] == {"x": 0.25, "y": 0.2}
    mask = np.load(io.BytesIO(zlib.decompress(base64.b64decode(packed(IDS[1:7, 4:16] == 3)))))
    np.testing.assert_array_equal(mask, IDS[1:7, 4:16] == 3)


def test_an_overlay_colours_objects_and_nothing_else():
    frame = np.full((10, 20, 3), 100, np.uint8)
    shown = blend(frame, IDS, alpha=0.5)
    assert (shown[IDS == 0] == 100).all()
    edge, inside = shown[2, 5].astype(int), shown[3, 10].astype(int)
    np.testing.assert_allclose(inside, (edge + 100) / 2, atol=1)
