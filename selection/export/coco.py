"""COCO and YouTube-VIS annotations with compressed run-lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np

from selection.export.source import RunMasks, VideoMasks
from stseg.errors import InputError
from stseg.files import Json

CATEGORIES = [{"id": 1, "name": "object", "supercategory": "object"}]
"""MOSE knows objects, not classes."""


class RunLengths(TypedDict):
    """COCO's compressed run-lengths of a mask.

    size     height and width, in pixels
    counts   the coded lengths, as text
    """

    size: list[int]
    counts: str


class Segment(TypedDict):
    """An object on one frame.

    bbox   left, top, width and height, in pixels
    area   in pixels
    """

    segmentation: RunLengths
    bbox: list[float]
    area: int


def coco(run: RunMasks) -> Json:
    """COCO instance annotations: an image per frame, an annotation per object and frame.

    ``track_id`` is the object id of the data set and holds within a video; ``file_name`` is
    relative to the folder of frames (``JPEGImages``).
    """
    images: list[Json] = []
    annotations: list[Json] = []
    for number, video in enumerate(run.videos, 1):
        names = video.frame_names()
        for frame, ids in enumerate(video.masks()):
            image = {
                "id": len(images) + 1,
                "file_name": f"{video.name}/{names[frame]}",
                "height": video.size[0],
                "width": video.size[1],
                "video_id": number,
                "frame_id": frame,
            }
            images.append(image)
            for object_id, segment in segments(ids, video):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image["id"],
                        "category_id": 1,
                        "track_id": object_id,
                        "iscrowd": 0,
                        **segment,
                    }
                )
    videos = [{"id": k, "name": video.name} for k, video in enumerate(run.videos, 1)]
    return {
        "info": {"description": f"selected masks of {run.root.name}"},
        "videos": videos,
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES,
    }


def youtube_vis(run: RunMasks) -> Json:
    """YouTube-VIS annotations: one per object of a video, with a segmentation or None per frame."""
    videos: list[Json] = []
    annotations: list[Json] = []
    for number, video in enumerate(run.videos, 1):
        names = [f"{video.name}/{name}" for name in video.frame_names()]
        size = {"height": video.size[0], "width": video.size[1], "length": len(names)}
        videos.append({"id": number, "name": video.name, "file_names": names, **size})
        tracks: dict[int, list[Segment | None]] = {
            object_id: [None] * len(names) for object_id in video.object_ids
        }
        for frame, ids in enumerate(video.masks()):
            for object_id, segment in segments(ids, video):
                tracks[object_id][frame] = segment
        for object_id, track in tracks.items():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": number,
                    "category_id": 1,
                    "track_id": object_id,
                    "iscrowd": 0,
                    **size,
                    "segmentations": [part and part["segmentation"] for part in track],
                    "bboxes": [part and part["bbox"] for part in track],
                    "areas": [part and part["area"] for part in track],
                }
            )
    return {
        "info": {"description": f"selected masks of {run.root.name}"},
        "videos": videos,
        "annotations": annotations,
        "categories": CATEGORIES,
    }


def segments(ids: np.ndarray, video: VideoMasks) -> Iterator[tuple[int, Segment]]:
    """(object id, run-lengths, box and area) of the objects that ``(H, W) uint8`` ids show."""
    try:
        from pycocotools import mask as api
    except ImportError:
        raise InputError(
            "pycocotools is not installed: run pip install 'stseg[plus]' to write run-lengths"
        ) from None
    for object_id in video.object_ids:
        plane = ids == object_id
        if plane.any():
            code = api.encode(np.asfortranarray(plane, dtype=np.uint8))
            yield (
                object_id,
                {
                    "segmentation": {"size": list(code["size"]), "counts": code["counts"].decode()},
                    "bbox": [float(v) for v in api.toBbox(code)],
                    "area": int(api.area(code)),
                },
            )
