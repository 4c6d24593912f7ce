"""CVAT for video 1.1 with masks: an XML file per video."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, parse

import numpy as np

from mose.readers.folder import list_folder
from mose.readers.regions import mask_of_runs
from selection.export.cvat import ATTRIBUTE
from selection.imports.video import ImportedVideo, Planes
from stseg.errors import InputError


def read(path: Path, frames: Path | None) -> ImportedVideo:
    """The video of a file; its frames have the names of those in ``frames/<video>``, where that is
    given. `InputError` where the file is damaged."""
    try:
        root = parse(path).getroot()
        name = _text(root, "meta/task/name")
        count = int(_text(root, "meta/task/size"))
        size = (int(_text(root, "meta/task/original_size/height")),
                int(_text(root, "meta/task/original_size/width")))  # fmt: skip
        shapes: list[list[tuple[int, Element]]] = [[] for _ in range(count)]
        for number, track in enumerate(root.iter("track"), 1):
            for mask in track.iter("mask"):
                if mask.get("outside") != "1":
                    shapes[int(mask.attrib["frame"])].append((_object_id(mask, number), mask))
    except (ParseError, KeyError, ValueError, IndexError, OSError) as error:
        raise InputError(f"annotations {path} are damaged ({error}): export them again") from None

    def planes(index: int) -> Planes:
        return {object_id: _plane(mask, size, path) for object_id, mask in shapes[index]}

    return ImportedVideo(name, _stems(name, count, frames), size, planes)


def _stems(name: str, count: int, frames: Path | None) -> list[str]:
    if frames is None:
        return [f"{frame:05d}" for frame in range(count)]
    stems = [file.path.stem for file in list_folder(frames / name, "frame").check().files]
    if len(stems) != count:
        raise InputError(
            f"video {name} has {count} frames in CVAT's file, but {len(stems)} in {frames / name}:"
            " give the frames that the task was made of"
        )
    return stems


def _text(root: Element, place: str) -> str:
    element = root.find(place)
    if element is None or element.text is None:
        raise KeyError(place)
    return element.text


def _object_id(mask: Element, number: int) -> int:
    """The attribute that `selection.export` writes, else the number of the track."""
    for attribute in mask.iter("attribute"):
        if attribute.get("name") == ATTRIBUTE and attribute.text:
            return int(attribute.text)
    return number


def _plane(mask: Element, size: tuple[int, int], path: Path) -> np.ndarray:
    out = np.zeros(size, dtype=bool)
    try:
        left, top, width, height = (
            int(float(mask.attrib[key])) for key in ("left", "top", "width", "height")
        )
        runs = [int(part) for part in mask.attrib["rle"].split(",")]
        out[top : top + height, left : left + width] = mask_of_runs(runs, height, width)
    except (KeyError, ValueError) as error:
        raise InputError(f"annotations {path} are damaged ({error}): export them again") from None
    return out
