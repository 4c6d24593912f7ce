"""Reads masks in the forms that `selection.export` writes, and writes them in MOSE's.

The forms are told apart by what a file holds: XML of CVAT, a list of Label Studio's tasks, a
mapping with ``annotations`` of COCO or YouTube-VIS, a folder with ``Annotations``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mose.dataset import open_dataset
from mose.layout import is_dataset
from mose.masks import read_mask, write_mask
from mose.readers.folder import list_folder
from selection.imports import coco, cvat, labelstudio
from selection.imports.video import ImportedVideo, Planes
from stseg.errors import InputError
from stseg.text import read_json


def read_videos(path: Path, frames: Path | None = None) -> list[ImportedVideo]:
    """The videos of a file or folder in one of the forms.

    frames   a folder of one folder of frames per video, for a form that counts frames and does not
             name them (CVAT); None: they are named 00000, 00001, ...

    Raises `InputError`, one sentence, for what is in none of the forms or is damaged.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give a file or folder of annotations")
    if path.is_dir() and (path / "tasks.json").is_file():
        return labelstudio.read(path / "tasks.json")
    if path.is_dir() and (path / "Annotations").is_dir():
        return read_folders(path)
    if path.is_dir():
        files = sorted(path.glob("*.xml"))
        if files:
            return [cvat.read(file, frames) for file in files]
    elif path.suffix.lower() == ".xml":
        return [cvat.read(path, frames)]
    elif path.suffix.lower() == ".json":
        content = read_json(path, "annotations")
        if isinstance(content, list):
            return labelstudio.read(path)
        if isinstance(content, dict) and "annotations" in content:
            return coco.read(path, content)
    raise InputError(
        f"{path} holds no annotations in a known form: expected CVAT's XML, Label Studio's tasks,"
        " COCO or YouTube-VIS JSON, or a folder Annotations"
    )


def read_folders(root: Path) -> list[ImportedVideo]:
    """Masks in the layout of DAVIS or MOSE."""
    if is_dataset(root):
        folders = open_dataset(root, "val" if (root / "ImageSets").is_dir() else None).annotations
    else:
        folders = (root / "Annotations",)
    videos = []
    for folder in sorted(place for place in folders[0].iterdir() if place.is_dir()):
        files = {file.path.stem: file.path for file in list_folder(folder, "mask").check().files}
        if files:
            videos.append(_of_files(folder.name, files))
    return videos


def _of_files(name: str, files: Mapping[str, Path]) -> ImportedVideo:
    paths = list(files.values())
    height, width = read_mask(paths[0]).shape

    def planes(index: int) -> Planes:
        ids = read_mask(paths[index])
        return {int(i): ids == i for i in np.unique(ids) if i}

    return ImportedVideo(name, list(files), (height, width), planes)


def write_videos(videos: Sequence[ImportedVideo], target: Path) -> int:
    """Write ``target/Annotations/<video>/<frame>.png``; returns the number of masks."""
    count = 0
    for video in videos:
        folder = target / "Annotations" / video.name
        folder.mkdir(parents=True)
        for index, stem in enumerate(video.stems):
            write_mask(folder / f"{stem}.png", video.ids(index))
            count += 1
    return count
