"""One video by itself: a movie or a folder of frames, and the mask of its objects beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mose.dataset import Dataset
from mose.frames import StoredFrames, open_frames
from mose.layout import is_dataset
from stseg.errors import InputError

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the frame: ``(x0, y0, x1, y1)``."""


def open_single(
    video: str | Path,
    mask: str | Path,
    labels: str | Path | None = None,
    corrections: str | Path | None = None,
) -> Dataset:
    """A data set of one video.

    video         a movie, or a folder of frames
    mask          PNG of the objects on its first frame (ids, or 0 and 255 for one object), or
                  a folder of masks named like the frames on which objects appear
    labels        folder that holds ``<video>/00000.png``, or that folder itself
    corrections   see `mose.dataset.open_dataset`

    Raises `InputError` where one of them is missing or cannot be used, and where the mask does
    not fit the video.
    """
    place, mask = video_place(video), Path(mask).resolve()
    if not mask.exists():
        raise InputError(f"mask {mask} does not exist: give the mask of the first frame")
    name = video_name(place)
    dataset = Dataset(
        root=place.parent,
        name=name,
        split="all",
        videos=(name,),
        images=place.parent,
        annotations=(),
        labels=None if labels is None else _labels(Path(labels).resolve(), name),
        movies=frozenset((place.name,)) if place.is_file() else frozenset(),
        corrections=None if corrections is None else Path(corrections).resolve(),
        given=mask,
    )
    dataset.video(name).check_prompts()
    return dataset


def video_place(video: str | Path) -> Path:
    """The absolute path of a movie or folder of frames; `InputError` where there is neither."""
    place = Path(video).resolve()
    if not place.exists():
        raise InputError(f"video {video} does not exist: give a movie or a folder of frames")
    if place.is_dir() and is_dataset(place):
        raise InputError(f"video {video} is a data set, not a video: give it with --dataset")
    return place


def video_name(place: Path) -> str:
    """How a video is called: a movie without its suffix, or a folder."""
    return place.stem if place.is_file() else place.name


def frames_and_boxes(video: str | Path, boxes: Sequence[Box]) -> tuple[StoredFrames, np.ndarray]:
    """The frames of a video, and ``(N, 4) float32`` boxes; `InputError` for boxes that do not
    lie on its first frame."""
    place = video_place(video)
    frames = open_frames(place, video_name(place))
    height, width = frames.size
    for box in boxes:
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            said = ",".join(f"{value:g}" for value in box)
            raise InputError(
                f"box {said} does not lie on the frames of {video}, which are {width} wide and"
                f" {height} high: give x0,y0,x1,y1 in pixels, the upper left corner first"
            )
    return frames, np.asarray(boxes, np.float32).reshape(-1, 4)


def _labels(folder: Path, name: str) -> Path:
    if (folder / name).is_dir():
        return folder
    if folder.is_dir() and folder.name == name:
        return folder.parent
    raise InputError(f"folder {folder} of labels does not hold {name}: expected {name}/00000.png")
