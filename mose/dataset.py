"""A data set on disk: its videos, given masks and labels, in any layout of `mose.layout`.

Opening lists folder names and decodes nothing, so thousands of videos open at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from mose.findings import Finding
from mose.given_files import object_folders
from mose.labels import LabelMasks
from mose.layout import (
    ANNOTATIONS,
    IMAGES,
    RESOLUTIONS,
    SPLITS,
    below,
    dataset_name,
    find_split,
    masks_folder,
)
from mose.meta import VideoMeta, read_meta
from mose.palette import values
from mose.readers.folder import leftover, list_folder
from mose.readers.masks import read_mask
from mose.readers.meaning import uses_ignore
from mose.video import Video, open_video
from mose.video_folders import list_videos
from stseg.errors import InputError, unknown


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
    given        PNG or folder of the given masks of the only video, in place of ``annotations``
    overlapping  whether objects may overlap, see `Video.with_overlap`
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
    given: Path | None = None
    overlapping: bool = False

    def __len__(self) -> int:
        return len(self.videos)

    def video(self, name: str) -> Video:
        """Open a video; nothing is decoded. `InputError` if it is not there or has no mask."""
        self._check_name(name)
        given = self.given_of(name)
        if not given:
            raise InputError(
                f"video {name} has no given masks: expected one for its first frame in"
                f" {self.annotations[0] / name}"
            )
        corrections = self.corrections / name if self.corrections else None
        video = open_video(self.frames_of(name), given, name, lambda: self.ignores, corrections)
        return video.with_overlap() if self.overlapping else video

    def given_of(self, name: str) -> list[Path]:
        """The folders and single PNGs that hold a video's given masks."""
        given = [place for folder in self.annotations for place in _given_of(folder, name)]
        return [*given, self.given] if self.given else given

    @cached_property
    def per_object(self) -> bool:
        """Whether given masks lie in one folder per object, as those of the first video do."""
        places = self.given_of(self.videos[0]) if self.videos else []
        return any(p.is_dir() and object_folders(list_folder(p, "mask")) for p in places)

    def frames_of(self, name: str) -> Path:
        """The folder of a video's frames, or its movie."""
        movie = next((m for m in self.movies if Path(m).stem == name), name)
        return self.images / movie

    def label_masks(self, name: str, video: Video) -> LabelMasks:
        """The full labels of a video that was opened, matched by number."""
        return LabelMasks(self.labels_folder(name), video, lambda: self.labels_ignore)

    @cached_property
    def labels_ignore(self) -> bool:
        """As `ignores`, told by the labels alone, of whatever videos: what 255 means in them is
        decided as `selection.evaluate` decides it, which sees nothing else."""
        return self.labels is not None and any(
            uses_ignore(_values_below(path)) for path in sorted(self.labels.iterdir())
        )

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

    @cached_property
    def meta(self) -> dict[str, VideoMeta]:
        """Video -> what is said of it in meta.json, meta_<split>.json or <split>_meta.json, in the
        split's folder or above."""
        splits = SPLITS.get(self.split, (self.split,))
        names = [n for s in splits for n in (f"meta_{s}.json", f"{s}_meta.json")]
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
    """Open a split of a data set in one of the layouts of `mose.layout`.

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
    folder, split, listed = find_split(root, split)
    named = [annotations] if isinstance(annotations, (str, Path)) else annotations
    wanted = [Path(name) for name in named or (ANNOTATIONS,)]
    outer = below(folder, IMAGES)
    there = [name for name in RESOLUTIONS if (outer / name).is_dir()]
    asked = [name for name in there if name in {path.name for path in wanted}]
    resolution = (*asked, *there, "")[0]
    images = outer / resolution
    videos = list_videos(images, listed)
    given = tuple(masks_folder(folder, name, resolution, "given masks") for name in wanted)
    return Dataset(
        root=folder,
        name=dataset_name(folder if folder == root else root),
        split=split,
        videos=videos.names,
        images=images,
        annotations=given,
        labels=None if labels is None else masks_folder(folder, Path(labels), resolution, "labels"),
        movies=videos.movies,
        notes=(
            *videos.notes,
            *(note for place in given for note in _without_frames(place, images)),
        ),
        corrections=None if corrections is None else _corrections(Path(corrections), images),
    )


def matches_name(name: str, pattern: str) -> bool:
    """Whether a pattern means a video: the name itself, whatever it holds, or ``*``, ``?``,
    ``[...]`` as in file names."""
    return name == pattern or fnmatchcase(name, pattern)


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


def _without_frames(given: Path, images: Path) -> Iterator[Finding]:
    """A note on each entry of a folder of given masks that belongs to no video."""
    entries = sorted(os.scandir(images), key=lambda entry: entry.name)
    known = {name for entry in entries for name in (entry.name, Path(entry.name).stem)}
    for entry in sorted(os.scandir(given), key=lambda entry: entry.name):
        names = {entry.name} if entry.is_dir() else {entry.name, Path(entry.name).stem}
        if not leftover(entry.name) and not names & known:
            sentence = f"{given / entry.name} belongs to no video of {images}: it is not used"
            yield Finding("stray-file", sentence, None, entry.name)


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
