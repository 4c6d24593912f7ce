"""CVAT for video 1.1: an XML file per video, for a CVAT task made of that video's frames.

::

    <video>.xml   masks as run-lengths, row by row inside the object's box
    labels.json   the label to create the task with (the raw editor of its constructor)

CVAT does not interpolate masks and, of a track of masks, reads the first one alone. So every
object is a track of one frame on each frame that shows it, as in CVAT's own export; which object
it is stands in the attribute ``object``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from mose.readers.regions import run_lengths
from selection.export.source import RunMasks, VideoMasks, box
from selection.run_paths import page_name

LABEL, ATTRIBUTE = "object", "object"
NUMBER = {
    "name": ATTRIBUTE,
    "input_type": "number",
    "mutable": False,
    "default_value": "1",
    "values": ["1", "254", "1"],
}
LABELS = [{"name": LABEL, "type": "mask", "attributes": [NUMBER]}]
"""What a task must have for the file to be read: see CVAT's label constructor."""
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat(run: RunMasks, target: Path) -> int:
    """Write the files above into ``target``; returns the number of frames."""
    (target / "labels.json").write_text(json.dumps(LABELS, indent=1), encoding="utf-8")
    for video in run.videos:
        write_video(video, target / f"{page_name(video.name)}.xml")
    return sum(len(video.stems) for video in run.videos)


def write_video(video: VideoMasks, path: Path) -> None:
    """Write the annotations of one video, track by track."""
    number = 0
    with open(path, "w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write(f"<version>1.1</version>\n{_xml(meta(video))}\n")
        for frame, ids in enumerate(video.masks()):
            for object_id in video.object_ids:
                plane = ids == object_id
                if plane.any():
                    part = track(number, object_id, plane, frame, len(video.stems))
                    file.write(_xml(part) + "\n")
                    number += 1
        file.write("</annotations>\n")


def meta(video: VideoMasks) -> Element:
    """What the file says of its task."""
    root = Element("meta")
    task = SubElement(root, "task")
    _text(task, "name", video.name)
    _text(task, "size", len(video.stems))
    _text(task, "mode", "interpolation")
    label = SubElement(SubElement(task, "labels"), "label")
    _text(label, "name", LABEL)
    _text(label, "type", "mask")
    attribute = SubElement(SubElement(label, "attributes"), "attribute")
    for key, value in NUMBER.items():
        _text(attribute, key, "\n".join(value) if isinstance(value, list) else value)
    size = SubElement(task, "original_size")
    _text(size, "width", video.size[1])
    _text(size, "height", video.size[0])
    return root


def track(number: int, object_id: int, plane: np.ndarray, frame: int, frames: int) -> Element:
    """An object's ``(H, W) bool`` mask on one of ``frames``, and that it ends there."""
    top, bottom, left, right = box(plane)
    shape = {
        "keyframe": "1",
        "occluded": "0",
        "rle": ", ".join(map(str, run_lengths(plane[top:bottom, left:right]))),
        "left": str(left),
        "top": str(top),
        "width": str(right - left),
        "height": str(bottom - top),
        "z_order": "0",
    }
    root = Element("track", id=str(number), label=LABEL, source="file")
    for at in range(frame, min(frame + 2, frames)):
        ends = str(int(at != frame))
        mask = SubElement(root, "mask", {"frame": str(at), "outside": ends, **shape})
        SubElement(mask, "attribute", name=ATTRIBUTE).text = str(object_id)
    return root


def _text(parent: Element, name: str, content: object) -> None:
    SubElement(parent, name).text = _FORBIDDEN.sub("\ufffd", str(content))


def _xml(element: Element) -> str:
    return tostring(element, encoding="unicode")
