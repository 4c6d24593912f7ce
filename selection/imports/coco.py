"""COCO with an image per frame, and YouTube-VIS with a track per object."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from selection.imports.video import ImportedVideo, Planes
from stseg.errors import InputError
from stseg.files import Json

Segments = list[tuple[int, Json]]
"""Id and run-lengths of the objects of a frame."""


def read(path: Path, content: Json) -> list[ImportedVideo]:
    """The videos of a file; `InputError` where it is damaged."""
    try:
        return list(_tracks(content) if "images" not in content else _images(content))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(f"annotations {path} are damaged ({error}): export them again") from None


def _tracks(content: Json) -> Iterable[ImportedVideo]:
    for entry in content["videos"]:
        segments: list[Segments] = [[] for _ in entry["file_names"]]
        mine = [a for a in content["annotations"] if a["video_id"] == entry["id"]]
        for number, track in enumerate(mine, 1):
            object_id = int(track.get("track_id", number))
            for frame, code in enumerate(track["segmentations"]):
                if code:
                    segments[frame].append((object_id, code))
        yield _video([PurePosixPath(n) for n in entry["file_names"]], entry, segments)


def _images(content: Json) -> Iterable[ImportedVideo]:
    by_image: dict[int, Segments] = {}
    for note in content["annotations"]:
        own = by_image.setdefault(note["image_id"], [])
        own.append((int(note.get("track_id", len(own) + 1)), note["segmentation"]))
    videos: dict[str, list[Json]] = {}
    for image in content["images"]:
        videos.setdefault(str(PurePosixPath(image["file_name"]).parent), []).append(image)
    for images in videos.values():
        names = [PurePosixPath(image["file_name"]) for image in images]
        yield _video(names, images[0], [by_image.get(image["id"], []) for image in images])


def _video(names: list[PurePosixPath], size: Json, segments: list[Segments]) -> ImportedVideo:
    height, width = int(size["height"]), int(size["width"])

    def planes(index: int) -> Planes:
        return {i: plane(code, height, width) for i, code in segments[index]}

    stems = [name.stem for name in names]
    return ImportedVideo(names[0].parent.name, stems, (height, width), planes)


def plane(code: Json, height: int, width: int) -> np.ndarray:
    """The ``(H, W) bool`` mask of COCO's run-lengths, compressed or as a list of numbers."""
    try:
        from pycocotools import mask as api
    except ImportError:
        raise InputError(
            "pycocotools is not installed: run pip install 'stseg[plus]' to read run-lengths"
        ) from None
    if not isinstance(code, dict):
        raise InputError("polygons are no masks: export run-lengths")
    if isinstance(code["counts"], list):
        code = api.frPyObjects(code, height, width)
    decoded: np.ndarray = api.decode(code) > 0
    if decoded.shape != (height, width):
        raise InputError(
            f"a mask is {decoded.shape[0]} x {decoded.shape[1]}, not {height} x {width}"
        )
    return decoded
