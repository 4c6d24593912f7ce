"""A small data set in the layout of every board: two videos of moving squares, labels for all.

Object 1 is there from the start, object 2 comes on the third frame (on the boards that follow the
objects of the first mask alone, from the start) and is away for two frames. Where objects have
masks of their own, they overlap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from layouts import write_masks
from PIL import Image

from mose.readers.regions import run_lengths

SIZE = (40, 56)
VIDEOS = {"aa": 13, "bb": 11}
LATE = 2

Planes = Mapping[int, np.ndarray]
"""Object id -> ``(H, W) bool``."""


@dataclass(frozen=True)
class Laid:
    """A data set on disk: its root, its split, what to score against, its labels if not there."""

    root: Path
    split: str
    truth: Path


def planes(video: str, frame: int, late: int = LATE) -> dict[int, np.ndarray]:
    """The objects of a frame; the second square overlaps the first one and comes on frame
    ``late``."""
    shift = frame * (2 if video == "aa" else 1)
    found = {1: np.zeros(SIZE, bool), 2: np.zeros(SIZE, bool)}
    found[1][8:24, 4 + shift : 22 + shift] = True
    if frame >= late and not 7 <= frame < 9:
        found[2][14:30, 16 + shift : 32 + shift] = True
    return found


def ids(video: str, frame: int, late: int = LATE) -> np.ndarray:
    """``(H, W) uint8``: the smaller object in front."""
    mask = np.zeros(SIZE, np.uint8)
    for object_id, plane in planes(video, frame, late).items():
        mask[plane] = object_id
    return mask


def write_frames(folder: Path, video: str, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    texture = np.random.default_rng(len(video)).integers(60, 200, (*SIZE, 3), dtype=np.uint8)
    for frame, name in enumerate(names):
        image = texture.copy()
        for object_id, plane in planes(video, frame).items():
            image[plane] = (40 * object_id, 250 - 60 * object_id, 90)
        Image.fromarray(image).save(folder / f"{name}.jpg", quality=95)


def labels(video: str, names: list[str], late: int = LATE) -> dict[str, np.ndarray]:
    return {name: ids(video, frame, late) for frame, name in enumerate(names)}


def given(video: str, names: list[str]) -> dict[str, np.ndarray]:
    """The first frame, and the one on which object 2 comes."""
    late = np.where(ids(video, LATE) == 2, 2, 0).astype(np.uint8)
    return {names[0]: ids(video, 0), names[LATE]: late}


def dump(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def mose(root: Path, meta: bool = False) -> Laid:
    split = root / "valid"
    for video, length in VIDEOS.items():
        names = [f"{frame:05d}" for frame in range(length)]
        write_frames(split / "JPEGImages" / video, video, names)
        write_masks(split / "Annotations" / video, given(video, names))
        write_masks(split / "Labels" / video, labels(video, names))
    if meta:
        size = {"height": SIZE[0], "width": SIZE[1], "objects": ["1", "2"]}
        videos = {video: {"length": length, **size} for video, length in VIDEOS.items()}
        dump(split / "meta_valid.json", {"videos": videos})
    return Laid(root, "valid", split / "Labels")


def mosev2(root: Path) -> Laid:
    return mose(root, meta=True)


def davis(root: Path) -> Laid:
    for video, length in VIDEOS.items():
        names = [f"{frame:05d}" for frame in range(length)]
        write_frames(root / "JPEGImages" / "480p" / video, video, names)
        write_masks(root / "Annotations" / "480p" / video, labels(video, names, late=0))
    lists(root / "ImageSets" / "2017" / "val.txt", VIDEOS)
    return Laid(root, "val", root / "Annotations" / "480p")


def lists(path: Path, videos: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(videos) + "\n")


def lvos(root: Path) -> Laid:
    split = root / "valid"
    meta = {}
    for video, length in VIDEOS.items():
        names = [f"{5 * frame + 1:08d}" for frame in range(length)]
        write_frames(split / "JPEGImages" / video, video, names)
        write_masks(split / "Annotations" / video, labels(video, names))
        objects = {}
        for object_id, first in ((1, 0), (2, LATE)):
            span = {"start": 5 * first + 1, "end": 5 * (length - 1) + 1}
            span["frame_nums"] = length - first
            objects[str(object_id)] = {"frame_range": {k: str(v) for k, v in span.items()}}
        meta[video] = {"objects": objects}
    dump(split / "valid_meta.json", {"videos": meta})
    lists(split / "unseen_videos.txt", ["bb"])
    return Laid(root, "valid", split)


def sav(root: Path) -> Laid:
    split = root / "sav_val"
    for video, length in VIDEOS.items():
        names = [f"{frame:05d}" for frame in range(length)]
        write_frames(split / "JPEGImages_24fps" / video, video, names)
        for object_id in (1, 2):
            masks = {
                name: planes(video, frame)[object_id].astype(np.uint8)
                for frame, name in enumerate(names)
                if frame % 4 == 0
            }
            write_masks(split / "Annotations_6fps" / video / f"{object_id - 1:03d}", masks)
    return Laid(root, "val", split / "Annotations_6fps")


def ytvos(root: Path) -> Laid:
    split = root / "valid_all_frames"
    meta = {}
    for video, length in VIDEOS.items():
        names = [f"{frame:05d}" for frame in range(length)]
        write_frames(split / "JPEGImages" / video, video, names)
        late = np.where(ids(video, 5) == 2, 2, 0).astype(np.uint8)
        write_masks(split / "Annotations" / video, {names[0]: ids(video, 0), names[5]: late})
        true = {name: ids(video, frame) for frame, name in enumerate(names) if frame % 5 == 0}
        write_masks(root / "Labels" / video, true)
        kinds = {"1": "dog", "2": "heron" if video == "bb" else "dog"}
        objects = {i: {"category": kind, "frames": names[::5]} for i, kind in kinds.items()}
        meta[video] = {"objects": objects}
    dump(split / "meta.json", {"videos": meta})
    dump(root / "Labels" / "meta.json", {"videos": meta})
    seen = {"1": {"category": "dog", "frames": ["00000"]}}
    dump(root / "train" / "meta.json", {"videos": {"x": {"objects": seen}}})
    return Laid(root, "valid_all_frames", root / "Labels")


def vost(root: Path) -> Laid:
    for video, length in VIDEOS.items():
        names = [f"frame{12 * frame:05d}" for frame in range(length)]
        write_frames(root / "JPEGImages" / video, video, names)
        write_frames(root / "JPEGImages_10fps" / video, video, names)
        true = labels(video, names)
        for mask in true.values():
            mask[-3:, :5] = 255
        write_masks(root / "Annotations" / video, true)
    lists(root / "ImageSets" / "val.txt", VIDEOS)
    return Laid(root, "val", root / "Annotations")


def visor(root: Path) -> Laid:
    for video, length in VIDEOS.items():
        names = [f"P01_10{len(video)}_frame_{1000 + 31 * frame:010d}" for frame in range(length)]
        write_frames(root / "JPEGImages" / "480p" / video, video, names)
        write_masks(root / "Annotations" / "480p" / video, labels(video, names, late=0))
    lists(root / "ImageSets" / "2022" / "val.txt", VIDEOS)
    lists(root / "ImageSets" / "2022" / "val_unseen.txt", ["bb"])
    return Laid(root, "val", root / "Annotations" / "480p")


def vots(root: Path) -> Laid:
    for video, length in VIDEOS.items():
        folder = root / video
        write_frames(folder / "color", video, [f"{frame + 1:08d}" for frame in range(length)])
        (folder / "sequence").write_text(f"name={video}\nfps=30\nchannels.color=color/%08d.jpg\n")
        for name, object_id in (("body", 1), ("hand", 2)):
            lines = []
            for frame in range(length):
                plane = planes(video, frame)[object_id]
                lines.append(region_line(plane) if frame or object_id == 1 else "0")
            (folder / f"groundtruth_{name}.txt").write_text("\n".join(lines) + "\n")
    lists(root / "list.txt", VIDEOS)
    return Laid(root, "test", root)


def region_line(plane: np.ndarray) -> str:
    """A mask as a line of a region file."""
    if not plane.any():
        return "m0,0,0,0,0"
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    runs = run_lengths(plane[top:bottom, left:right])
    return f"m{','.join(map(str, (left, top, right - left, bottom - top, *runs)))}"


WRITERS = {f.__name__: f for f in (mose, mosev2, davis, lvos, sav, ytvos, vost, visor, vots)}
"""Board -> what writes a data set in its layout."""
