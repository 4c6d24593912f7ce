"""Masks of objects that may overlap: a folder per object, one binary PNG per frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ensemble.fusion.overlap import OverlapFusion, Planes, alone, verbatim
from ensemble.storage.predictions import Prediction
from ensemble.storage.run_directory import RunDirectory
from mose import Video
from mose.masks import read_mask, write_plane
from selection.evidence import PSEUDO_LABEL
from selection.selectors import Choice
from stseg.files import appearing


def write_planes(folder: Path, stem: str, planes: Planes) -> None:
    """Write each object's mask."""
    for object_id, plane in planes.items():
        path = plane_path(folder, object_id, stem)
        path.parent.mkdir(exist_ok=True)
        write_plane(path, plane)


@contextmanager
def writing_objects(
    overlap: OverlapFusion | None, folder: Path, may_write: Callable[[], None]
) -> Iterator[Path | None]:
    """A folder to write objects to, which appears when the block ends; None without overlap."""
    if overlap is None:
        yield None
        return
    with appearing(folder, may_write) as partial:
        yield partial


def plane_path(folder: Path, object_id: int, stem: str) -> Path:
    """Where a video's ``folder`` has an object's mask of a frame."""
    return folder / f"{object_id:03d}" / f"{stem}.png"


def write_selected_objects(
    run: RunDirectory,
    video: Video,
    choice: Choice,
    predictions: Mapping[str, Prediction],
    may_write: Callable[[], None],
) -> None:
    """Write the selected masks object by object, given ones verbatim.

    An object that is given later has empty masks before, as servers want one for every frame.
    """
    selected = selected_planes(run, video, choice, predictions)
    with appearing(run.objects(video.name), may_write) as folder:
        for stem, planes in zip(video.frame_names, selected, strict=True):
            write_planes(folder, stem, planes)


def selected_planes(
    run: RunDirectory, video: Video, choice: Choice, predictions: Mapping[str, Prediction]
) -> Iterator[Planes]:
    """Every object's selected ``(H, W) bool`` mask, frame by frame."""
    size = video.height, video.width
    pseudo = run.pseudo_objects(video.name)
    known: set[int] = set()
    for index, stem in enumerate(video.frame_names):
        known |= set(video.prompts.ids(index))
        chosen, missing = choice.at(index), set(choice.missing(index))
        planes = {}
        for object_id in video.object_ids:
            plane = np.zeros(size, dtype=bool)
            name = chosen.get(object_id)
            if object_id in known and object_id not in missing and name is not None:
                if name == PSEUDO_LABEL:
                    plane = read_mask(plane_path(pseudo, object_id, stem), binary=True) > 0
                else:
                    one = alone(predictions[name][index], object_id, size)
                    plane = one.ids == object_id
            if object_id in known:
                plane = verbatim(plane, video, index, object_id)
            planes[object_id] = plane
        yield planes
