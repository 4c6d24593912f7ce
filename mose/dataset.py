"""A data set on disk: where its videos, given masks and labels are.

Layouts, all with one folder per video and files named by frame number::

    MOSE v1, v2          root/{train,valid,test}/JPEGImages/<video>/00000.jpg
    YouTube-VOS          root/{train,valid,test}/Annotations/<video>/00000.png
                         (v2: meta_<split>.json, YouTube-VOS: meta.json beside them)
    one split            root/JPEGImages/<video>/00000.jpg
                         root/Annotations/<video>/00000.png
    DAVIS 2016, 2017     root/JPEGImages/{480p,Full-Resolution}/<video>/00000.jpg
                         root/Annotations/{480p,Full-Resolution}/<video>/00000.png
                         root/ImageSets/2017/{train,val,test-dev}.txt

Opening lists folder names and decodes nothing, so thousands of videos open at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mose.masks import object_ids, read_mask
from mose.video import Video, open_video
from stseg.errors import InputError, unknown

IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets"

SPLITS = {
    "train": ("train",),
    "valid": ("valid", "val"),
    "test": ("test", "test-dev"),
}
"""Split -> the names under which data sets have it, the likeliest first."""

RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""DAVIS's folders between ``JPEGImages`` and the videos, the usual one first."""

FEW_MASKS = 8
"""Up to so many given masks of a video are all read to count its objects; of more, the first."""

LAYOUT_HINT = (
    f"expected {IMAGES}/<video>/00000.jpg in it, or folders train, valid, test that hold such"
)


@dataclass(frozen=True)
class VideoInfo:
    """What planning needs of a video: frames, pixels, number of objects."""

    length: int
    height: int
    width: int
    objects: int


@dataclass(frozen=True)
class Dataset:
    """The videos of one split.

    root         folder that holds ``JPEGImages``
    name         name of the data set, for people
    split        train, valid, test, another name that was asked for, or "all"
    videos       names, ascending
    images       folder of one folder of frames per video
    annotations  folders of one folder of given masks per video
    labels       folder of one folder of full labels per video, or None
    """

    root: Path
    name: str
    split: str
    videos: tuple[str, ...]
    images: Path
    annotations: tuple[Path, ...]
    labels: Path | None = None

    def __len__(self) -> int:
        return len(self.videos)

    def video(self, name: str) -> Video:
        """Open a video; nothing is decoded. `InputError` if it is not there or has no mask."""
        self._check_name(name)
        given = [folder / name for folder in self.annotations if (folder / name).is_dir()]
        if not given:
            raise InputError(
                f"video {name} has no given masks: expected one for its first frame in"
                f" {self.annotations[0] / name}"
            )
        return open_video(self.images / name, given, name)

    def labels_folder(self, name: str) -> Path:
        """The folder of full labels of a video; it need not exist or hold every frame."""
        self._check_name(name)
        if self.labels is None:
            raise InputError(f"data set {self.root} was opened without labels: name their folder")
        return self.labels / name

    def info(self, name: str) -> VideoInfo:
        """Size of a video, from the data set's meta file where that says it.

        Otherwise from the names of the frames, the header of the first one and the given
        masks: all of them where they are few, the first of a fully annotated video.
        """
        self._check_name(name)
        known = self.meta.get(name, {})
        length, height, width = (known.get(key) for key in ("length", "height", "width"))
        objects = _count(known.get("objects"))
        if length and height and width and objects:
            return VideoInfo(length, height, width, objects)
        video = self.video(name)
        return VideoInfo(len(video), video.height, video.width, objects or _count_objects(video))

    @cached_property
    def meta(self) -> dict[str, dict[str, Any]]:
        """Video -> its entry in meta.json or meta_<split>.json, in the split's folder or above."""
        names = [f"meta_{split}.json" for split in SPLITS.get(self.split, (self.split,))]
        places = [self.root / name for name in ("meta.json", *names)]
        places += [self.root.parent / name for name in names]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            return {}
        try:
            videos = json.loads(path.read_text(encoding="utf-8"))["videos"]
            return {name: dict(entry) for name, entry in videos.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f'meta file {path} is damaged: expected {{"videos": {{<video>: ...}}}};'
                " restore or remove it"
            ) from None

    def _check_name(self, name: str) -> None:
        if name not in self._names:
            raise unknown("video", name, self.videos, f" in {self.images}")

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.videos)


def open_dataset(
    root: str | Path,
    split: str | None = None,
    annotations: str | Path | Sequence[str | Path] | None = None,
    labels: str | Path | None = None,
) -> Dataset:
    """Open a split of a data set in one of the layouts above.

    split         train, valid (or val), test, or the name of any other folder or list that
                  the root has (``valid_all_frames``, ``2016/val``, ``test-challenge``).
                  None: the only one there is. A root that holds ``JPEGImages`` itself and
                  no lists is one split and serves any of the three names, unless its own
                  folder name is another of them.
    annotations   folder(s) of given masks, relative to the split's root (else to the
                  current folder) or absolute; ``Annotations`` unless named
    labels        folder of full labels to score with, found in the same way

    Raises `InputError` where the root is missing or empty, has no such split, no videos, a
    list with a video that is not there, or no such folder of masks.
    """
    root = Path(root)
    folder, split, listed = _find_split(root, split)
    named = [annotations] if isinstance(annotations, (str, Path)) else annotations
    wanted = [Path(name) for name in named or (ANNOTATIONS,)]
    there = [name for name in RESOLUTIONS if (folder / IMAGES / name).is_dir()]
    asked = [name for name in there if name in {path.name for path in wanted}]
    resolution = (*asked, *there, "")[0]
    images = folder / IMAGES / resolution
    return Dataset(
        root=folder,
        name=_dataset_name(folder if folder == root else root),
        split=split,
        videos=_videos(images, listed),
        images=images,
        annotations=tuple(_masks(folder, name, resolution, "given masks") for name in wanted),
        labels=None if labels is None else _masks(folder, Path(labels), resolution, "labels"),
    )


def split_folders(root: str | Path) -> tuple[str, ...]:
    """Names of the root's folders that hold ``JPEGImages``; none where it is itself a split."""
    try:
        return tuple(sorted(p.name for p in Path(root).iterdir() if (p / IMAGES).is_dir()))
    except OSError:
        return ()


def is_dataset(root: str | Path) -> bool:
    """Whether a folder holds ``JPEGImages``, itself or in a split's folder."""
    return (Path(root) / IMAGES).is_dir() or bool(split_folders(root))


def _find_split(root: Path, split: str | None) -> tuple[Path, str, list[str] | None]:
    """The folder that holds the split's ``JPEGImages``, its name, the videos of its list."""
    if not root.is_dir():
        raise InputError(f"data set folder {root} does not exist: give the root of a data set")
    folders, lists = split_folders(root), _split_lists(root)
    flat = (root / IMAGES).is_dir()
    own = _canonical(root.resolve().name)
    if split is None:
        if flat:
            return root, own if own in SPLITS else "all", None
        if len(folders) == 1:
            return root / folders[0], _canonical(folders[0]), None
        if folders:
            raise InputError(f"data set {root} has several splits: choose {', '.join(folders)}")
        raise InputError(f"folder {root} holds no data set: {LAYOUT_HINT}")
    split = _canonical(split)
    names = SPLITS.get(split, (split,))
    for name in names:
        if name in folders:
            return root / name, split, None
    for name in names:
        if name in lists:
            return root, split, _read_list(lists[name])
    if not flat and not folders:
        raise InputError(f"folder {root} holds no data set: {LAYOUT_HINT}")
    if flat and not lists and split in SPLITS:
        if own in SPLITS and own != split:
            raise InputError(
                f"folder {root} is the split '{own}', not '{split}': ask for '{own}' or give"
                " another folder"
            )
        return root, split, None
    raise unknown("split", split, (*folders, *lists) or SPLITS, f" of data set {root}")


def _canonical(split: str) -> str:
    return "valid" if split == "val" else split


def _dataset_name(root: Path) -> str:
    root = root.resolve()
    return root.parent.name if _canonical(root.name) in SPLITS else root.name


def _split_lists(root: Path) -> dict[str, Path]:
    """``ImageSets``: "2017/val" -> file, and "val" -> the newest year's."""
    folder = root / LISTS
    lists: dict[str, Path] = {}
    for path in [*sorted(folder.glob("*.txt")), *sorted(folder.glob("*/*.txt"), reverse=True)]:
        lists.setdefault(path.stem, path)
        lists[path.relative_to(folder).with_suffix("").as_posix()] = path
    return lists


def _read_list(path: Path) -> list[str]:
    """Video names of a list: one a line, or DAVIS 2016's pairs of frame and mask paths."""
    firsts = [
        line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    return [Path(first).parent.name if "/" in first else first for first in firsts]


def _videos(images: Path, listed: list[str] | None) -> tuple[str, ...]:
    with os.scandir(images) as entries:
        found = {e.name for e in entries if e.is_dir() and not e.name.startswith(".")}
    if not found:
        raise InputError(f"folder {images} holds no videos: expected <video>/00000.jpg in it")
    if listed is None:
        return tuple(sorted(found))
    missing = sorted(set(listed) - found)
    if missing:
        raise InputError(
            f"video {missing[0]} of the split's list is not in {images}"
            f" ({len(missing)} of {len(set(listed))} are missing): complete the data set"
        )
    if not listed:
        raise InputError(f"the split's list under {LISTS} names no video: complete it")
    return tuple(sorted(set(listed)))


def _masks(root: Path, name: Path, resolution: str, kind: str) -> Path:
    """A folder of masks: relative to the split, else to the current folder, or absolute."""
    places = [root / name] if name.is_absolute() else [root / name, name]
    for place in places:
        if place.is_dir():
            inner = place / resolution
            return inner if inner.is_dir() else place
    raise InputError(
        f"folder {places[0]} of {kind} does not exist: expected <video>/00000.png in it;"
        " name the right folder"
    )


def _count(objects: Any) -> int:
    """Number of objects as meta files give it: a list or mapping of ids, or the number."""
    return objects if isinstance(objects, int) else len(objects or ())


def _count_objects(video: Video) -> int:
    given = video.prompts.paths()
    few = len(given) <= FEW_MASKS
    return len(video.object_ids if few else object_ids(read_mask(given[0])))
