"""FiftyOne: a folder that it imports as a ``FiftyOneVideoLabelsDataset``.

::

    manifest.json          which labels belong to which video
    data/<video>.mp4       the frames
    labels/<video>.json    objects by frame, from 1, in ETA's VideoLabels form

A box is relative to the frame; its mask is a boolean array of the box's size, as base64 of a
compressed ``.npy``. Source: FiftyOne's guide to importing data sets, ETA's guide to video labels.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from selection.export.movie import even, write_movie
from selection.export.source import RunMasks, VideoMasks, box
from selection.run_paths import page_name
from stseg.files import Json

FIELD = "selected"
"""Name of the field of a frame in which FiftyOne puts the objects."""


def write_fiftyone(run: RunMasks, target: Path, frames_per_second: float = 12.0) -> int:
    """Write the layout above into ``target``; returns the number of frames."""
    for name in ("data", "labels"):
        (target / name).mkdir()
    index = []
    for video in run.videos:
        page = page_name(video.name)
        write_movie(target / "data" / f"{page}.mp4", video.frames(), video.size, frames_per_second)
        labels = video_labels(video, f"{page}.mp4")
        (target / "labels" / f"{page}.json").write_text(json.dumps(labels), encoding="utf-8")
        index.append({"data": f"data/{page}.mp4", "labels": f"labels/{page}.json"})
    manifest = {
        "type": "eta.core.datasets.LabeledVideoDataset",
        "description": f"selected masks of {run.root.name}",
        "index": index,
    }
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return sum(len(video.stems) for video in run.videos)


def video_labels(video: VideoMasks, filename: str) -> Json:
    """The objects of one video, frame by frame."""
    height, width = even(video.size)
    frames = {}
    for number, ids in enumerate(video.masks(), 1):
        objects = list(detections(ids[:height, :width], video.object_ids))
        frames[str(number)] = {"frame_number": number, "objects": {"objects": objects}}
    return {"filename": filename, "frames": frames}


def detections(ids: np.ndarray, object_ids: tuple[int, ...]) -> Iterator[Json]:
    """The objects that ``(H, W) uint8`` ids show, as ETA's detected objects."""
    height, width = ids.shape
    for object_id in object_ids:
        plane = ids == object_id
        if not plane.any():
            continue
        top, bottom, left, right = box(plane)
        yield {
            "type": "eta.core.objects.DetectedObject",
            "name": FIELD,
            "label": f"object {object_id}",
            "index": object_id,
            "bounding_box": {
                "top_left": {"x": left / width, "y": top / height},
                "bottom_right": {"x": right / width, "y": bottom / height},
            },
            "mask": packed(plane[top:bottom, left:right]),
        }


def packed(mask: np.ndarray) -> str:
    """A ``bool`` array as base64 of a zlib-compressed ``.npy``."""
    file = io.BytesIO()
    np.save(file, mask, allow_pickle=False)
    return base64.b64encode(zlib.compress(file.getvalue())).decode("ascii")
