"""A data set on disk: where its videos, given masks and labels are.

Layouts, all with one folder per video and files named by frame number::

    MOSE v1, v2          root/{train,valid,test}/JPEGImages/<video>/00000.jpg
    YouTube-VOS          root/{train,valid,test}/Annotations/<video>/00000.png
                         (v2: meta_<split>.json, YouTube-VOS: meta.json beside them)
    one split            root/JPEGImages/<video>/00000.jpg
                         root/Annotations/<video>/00000.png
    SA-V                 root/sav_val/JPEGImages_24fps/<video>/00000.jpg
                         root/sav_val/Annotations_6fps/<video>/000/00000.png
    movies               <video>.mp4 (.mov, .avi, .webm) in place of the folder <video> of frames
    DAVIS 2016, 2017     root/JPEGImages/{480p,Full-Resolution}/<video>/00000.jpg
                         root/Annotations/{480p,Full-Resolution}/<video>/00000.png
                         root/ImageSets/2017/{train,val,test-dev}.txt

Opening lists folder names and decodes nothing, so thousands of videos open at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from mose.findings import Finding
from mose.labels import LabelMasks
from mose.palette import values
from mose.readers.folder import leftover, list_folder
from mose.readers.lists import read_json
from mose.readers.masks import read_mask
from mose.readers.meaning import undecided, uses_ignore
from mose.video import Video, open_video
from mose.video_folders import list_videos
from stseg.errors import InputError, unknown

IMAGES, ANNOTATIONS, LISTS = "JPEGImages", "Annotations", "ImageSets"

RATES = {"JPEGImages": "JPEGImages_24fps", "Annotations": "Annotations_6fps"}
"""Folder -> SA-V's name for it."""

SPLITS = {
    "train": ("train", "sav_train"),
    "valid": ("valid", "val", "sav_val"),
    "test": ("test", "test-dev", "sav_test"),
}
"""Split -> the names under which data sets have it, the likeliest first."""

RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""DAVIS's folders between ``JPEGImages`` and the videos, the usual one first."""

FEW_MASKS = 8
"""If a video has up to this many given masks, all are read to count its objects; otherwise only the
first."""

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
    corrections  folder of one folder of corrections per corrected video, or None
    movies       file names of the videos that are movies
    notes        what is worth knowing of how the folders and lists were read
    """

    root: Path
    name: str
    split: str
    videos: tuple[str, ...]
    images: Path
    annotations: tuple[Path, ...]
    labels: Path | None = None
    movies: frozenset[str] = frozenset()
    notes: tuple[Finding, ...] = ()
    corrections: Path | None = None

    def __len__(self) -> int:
        return len(self.videos)

    def video(self, name: str) -> Video:
        """Open a video; nothing is decoded. `InputError` if it is not there or has no mask."""
        self._check_name(name)
        given = [place for folder in self.annotations for place in _given_of(folder, name)]
        if not given:
            raise InputError(
                f"video {name} has no given masks: expected one for its first frame in"
                f" {self.annotations[0] / name}"
            )
        corrections = self.corrections / name if self.corrections else None
        return open_video(self.frames_of(name), given, name, lambda: self.ignores, corrections)

    def frames_of(self, name: str) -> Path:
        """The folder of a video's frames, or its movie."""
        movie = next((m for m in self.movies if Path(m).stem == name), name)
        return self.images / movie

    def label_masks(self, name: str, video: Video) -> LabelMasks:
        """The full labels of a video that was opened, matched by number."""
        return LabelMasks(self.labels_folder(name), video, lambda: self.ignores)

    @cached_property
    def ignores(self) -> bool:
        """Whether masks of this data set use 255 for what is to be ignored: some video of it
        has both ids and 255. Asked only for videos whose masks hold 0 and 255 alone, and found
        by reading given masks and labels until one tells."""
        folders = (*self.annotations, *([self.labels] if self.labels else ()))
        return any(
            uses_ignore(_values_below(folder / name)) for folder in folders for name in self.videos
        )

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
        return {} if path is None else read_meta(path)

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
    corrections: str | Path | None = None,
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
    corrections   folder of one folder per corrected video, see
                  `mose.corrections.read_corrections`

    Raises `InputError` where the root is missing or empty, has no such split, no videos, a
    list with a video that is not there, no such folder of masks, or corrections of a video
    that there is not.
    """
    root = Path(root)
    folder, split, listed = _find_split(root, split)
    named = [annotations] if isinstance(annotations, (str, Path)) else annotations
    wanted = [Path(name) for name in named or (ANNOTATIONS,)]
    below = _below(folder, IMAGES)
    there = [name for name in RESOLUTIONS if (below / name).is_dir()]
    asked = [name for name in there if name in {path.name for path in wanted}]
    resolution = (*asked, *there, "")[0]
    images = below / resolution
    videos = list_videos(images, listed)
    return Dataset(
        root=folder,
        name=_dataset_name(folder if folder == root else root),
        split=split,
        videos=videos.names,
        images=images,
        annotations=tuple(_masks(folder, name, resolution, "given masks") for name in wanted),
        labels=None if labels is None else _masks(folder, Path(labels), resolution, "labels"),
        movies=videos.movies,
        notes=videos.notes,
        corrections=None if corrections is None else _corrections(Path(corrections), images),
    )


def _corrections(folder: Path, images: Path) -> Path:
    """A folder of corrections, all of whose folders are named by a video of any list."""
    if not folder.is_dir():
        raise InputError(
            f"folder {folder} of corrections does not exist: expected <video>/00012.png in it"
        )
    known = list_videos(images, None).names
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not leftover(entry.name) and entry.name not in known:
            raise unknown("video", entry.name, known, f" in {images}, which {folder} corrects")
    return folder


def read_meta(path: Path) -> dict[str, dict[str, Any]]:
    """Video -> its entry in a meta file; `InputError` where it is damaged."""
    try:
        videos = read_json(path, "meta file")["videos"]
        return {name: dict(entry) for name, entry in videos.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f" ({error})" if isinstance(error, InputError) else ""
        raise InputError(
            f'meta file {path} is damaged: expected {{"videos": {{<video>: ...}}}};'
            f" restore or remove it{why}"
        ) from None


def matches_name(name: str, pattern: str) -> bool:
    """Whether a pattern means a video: the name itself, whatever it holds, or ``*``, ``?``,
    ``[...]`` as in file names."""
    return name == pattern or fnmatchcase(name, pattern)


def split_folders(root: str | Path) -> tuple[str, ...]:
    """Names of the root's folders that hold ``JPEGImages``; none where it is itself a split."""
    try:
        return tuple(
            sorted(
                p.name
                for p in Path(root).iterdir()
                if not leftover(p.name) and _below(p, IMAGES).is_dir()
            )
        )
    except OSError:
        return ()


def is_dataset(root: str | Path) -> bool:
    """Whether a folder holds ``JPEGImages``, itself or in a split's folder."""
    return _below(Path(root), IMAGES).is_dir() or bool(split_folders(root))


def _below(root: Path, name: str) -> Path:
    """A folder of a data set, or that of SA-V which holds the same."""
    usual, rated = root / name, root / RATES.get(name, name)
    return rated if rated.is_dir() and not usual.is_dir() else usual


def _find_split(root: Path, split: str | None) -> tuple[Path, str, Path | None]:
    """The folder that holds the split's ``JPEGImages``, its name, the list of its videos."""
    if not root.is_dir():
        raise InputError(f"data set folder {root} does not exist: give the root of a data set")
    folders, lists = split_folders(root), _split_lists(root)
    flat = _below(root, IMAGES).is_dir()
    own = canonical_split(root.resolve().name)
    if split is None:
        if flat:
            return root, own if own in SPLITS else "all", None
        if len(folders) == 1:
            return root / folders[0], canonical_split(folders[0]), None
        if folders:
            raise InputError(f"data set {root} has several splits: choose {', '.join(folders)}")
        raise InputError(f"folder {root} holds no data set: {LAYOUT_HINT}")
    split = canonical_split(split)
    names = SPLITS.get(split, (split,))
    for name in names:
        if name in folders:
            return root / name, split, None
    for name in names:
        if name in lists:
            return root, split, lists[name]
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


def canonical_split(split: str) -> str:
    """``valid`` for ``val`` and the like; other names as they are."""
    for name in SPLITS:
        if split.lower() in (name, "val" if name == "valid" else name):
            return name
    return next((s for s, names in SPLITS.items() if split.startswith("sav_") and split in names),
                split)  # fmt: skip


def _dataset_name(root: Path) -> str:
    root = root.resolve()
    return root.parent.name if canonical_split(root.name) in SPLITS else root.name


def _split_lists(root: Path) -> dict[str, Path]:
    """``ImageSets``: "2017/val" -> file, and "val" -> the newest year's."""
    folder = root / LISTS
    lists: dict[str, Path] = {}
    for path in [*sorted(folder.glob("*.txt")), *sorted(folder.glob("*/*.txt"), reverse=True)]:
        lists.setdefault(path.stem, path)
        lists[path.relative_to(folder).with_suffix("").as_posix()] = path
    return lists


def _given_of(folder: Path, name: str) -> list[Path]:
    """Where a folder of given masks has those of a video: its folder, or one PNG of its name."""
    if (folder / name).is_dir():
        return [folder / name]
    single = folder / f"{name}.png"
    return [single] if single.is_file() else []


def _values_below(folder: Path) -> Iterator[list[int]]:
    """What each mask of a folder holds; nothing of those that cannot be read."""
    if not folder.is_dir():
        return
    for path in list_folder(folder, "mask").paths:
        try:
            yield values(read_mask(path))
        except InputError:
            continue


def _masks(root: Path, name: Path, resolution: str, kind: str) -> Path:
    """A folder of masks: relative to the split, else to the current folder, or absolute."""
    places = [root / name] if name.is_absolute() else [_below(root, str(name)), name]
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
    if few or undecided(values(read_mask(given[0]))):
        return len(video.object_ids)
    return len([v for v in values(read_mask(given[0])) if 0 < v < 255])
