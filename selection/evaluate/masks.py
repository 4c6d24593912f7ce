"""The masks of one video as an evaluation reads them: PNGs of ids, PNGs per object, regions."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from mose.boards.board import MaskForm
from mose.boards.checks import prefix_of
from mose.boards.vots import (
    IGNORED,
    TRUTH,
    frame_size,
    object_files,
    object_name,
    packed_name,
    sequences,
)
from mose.masks import VOID, decode_mask, values
from mose.readers.masks import check_ids
from mose.readers.meaning import MaskMeaning, meaning_of, undecided, uses_ignore
from mose.readers.numbers import number_names
from mose.readers.regions import Trajectory, known_frames, parse_trajectory
from mose.results import Results, by_video
from selection.metrics.regions import OneObject, Regions
from stseg.errors import InputError


@dataclass(frozen=True)
class MaskFiles:
    """The masks of one video: names of files below ``folder`` of the `Results` at ``path``, in
    the order of their numbers.

    only     of masks of ids, the one object that is looked at, as object 1
    binary   each file is the mask of one object
    regions  the size of the frames, (height, width), where ``folder`` is a region file; names are
             then the indices of frames
    """

    path: Path
    folder: str
    names: tuple[str, ...]
    only: int | None = None
    binary: bool = False
    regions: tuple[int, int] | None = None

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Name -> its number; empty where names have none."""
        numbering = number_names([stem(name) for name in self.names])
        if numbering.odd:
            return {}
        return {name: numbering.numbers[stem(name)] for name in self.names}

    def partner(self, name: str, number: int | None) -> str | None:
        """The mask of this name, else of this number, whatever its zeros and suffix's case."""
        if name in self._known:
            return name
        return None if number is None else self._by_number.get(number)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _by_number(self) -> dict[int, str]:
        return {number: name for name, number in self.numbers.items()}


Parts = Mapping[str | None, MaskFiles]
"""The masks of a video under None, or those of each object under the object's name."""


def stem(name: str) -> str:
    """A file's name without its suffix."""
    return name.rpartition(".")[0]


def find_masks(path: Path, form: MaskForm | None, videos: Collection[str] = ()) -> dict[str, Parts]:
    """Video -> its masks, looked up inside the folders that wrap all of them.

    form   None: ids, unless every file lies in a folder named by a number below one of several
           folders
    """
    results = Results(path)
    if form is not MaskForm.IDS:
        apart = _per_object(path, results, videos)
        if apart and (form is MaskForm.PER_OBJECT or len(apart) > 1):
            return apart
    prefix = prefix_of(MaskForm.IDS, results.names, videos)
    plain: dict[str, Parts] = {}
    for video, files in by_video(results.names, prefix).items():
        names = [n for n in files if _is_mask(n) and "/" not in n]
        if video and names:
            plain[video] = {None: _in_order(MaskFiles(path, f"{prefix}{video}/", tuple(names)))}
    if not plain:
        raise InputError(f"{path} holds no masks: expected <video>/00000.png in it")
    return plain


def _per_object(path: Path, results: Results, videos: Collection[str]) -> dict[str, Parts]:
    """Video -> object's folder -> its masks; empty where any mask lies otherwise."""
    prefix = prefix_of(MaskForm.PER_OBJECT, results.names, videos)
    apart: dict[str, dict[str, list[str]]] = {}
    for video, files in by_video(results.names, prefix).items():
        for file in filter(_is_mask, files):
            folder, _, name = file.rpartition("/")
            if not video or not folder.isdecimal():
                return {}
            apart.setdefault(video, {}).setdefault(folder, []).append(name)
    return {
        video: {
            folder: _in_order(
                MaskFiles(path, f"{prefix}{video}/{folder}/", tuple(sorted(names)), binary=True)
            )
            for folder, names in sorted(folders.items())
        }
        for video, folders in apart.items()
    }


def _is_mask(name: str) -> bool:
    return name.lower().endswith(".png") and not name.rpartition("/")[2].startswith(".")


def _in_order(masks: MaskFiles) -> MaskFiles:
    """The masks in the order of their numbers, where they have any."""
    if not masks.numbers:
        return replace(masks, names=tuple(sorted(masks.names)))
    if len(set(masks.numbers.values())) < len(masks.names):
        raise InputError(
            f"folder {masks.folder} of {masks.path} holds two masks with the same number: keep one"
        )
    return replace(masks, names=tuple(sorted(masks.names, key=masks.numbers.__getitem__)))


def true_regions(truth: Path) -> dict[str, Parts]:
    """Video -> object -> its regions in a data set of VOTS."""
    apart: dict[str, Parts] = {}
    for video, folder in sequences(truth).items():
        size = frame_size(folder)
        apart[video] = {
            str(object_id): _region_masks(folder, path.name, size)
            for object_id, path in object_files(folder).items()
        }
    return apart


def predicted_regions(prediction: Path, truth: Path) -> dict[str, Parts]:
    """The same objects' regions in what ``vot pack`` packs, in a folder or zip."""
    results = Results(prediction)
    apart: dict[str, Parts] = {}
    for video, folder in sequences(truth).items():
        size, files = frame_size(folder), object_files(folder)
        parts: dict[str | None, MaskFiles] = {}
        for object_id, path in files.items():
            packed = packed_name(video, object_name(path), len(files))
            there = (packed, f"{packed.removesuffix('.bin')}.txt")
            file = next((name for name in there if name in results.names), None)
            if file is not None:
                parts[str(object_id)] = _region_masks(prediction, file, size)
        if parts:
            apart[video] = parts
    return apart


def _region_masks(path: Path, file: str, size: tuple[int, int]) -> MaskFiles:
    data = opened(path, path.stat().st_mtime_ns, os.getpid()).read(file)
    predicted = not file.startswith(TRUTH)
    names = (
        f"{index + 1:08d}.region"
        for index, known in enumerate(known_frames(data, f"{path / file}"))
        if predicted or known or not index
    )
    return MaskFiles(path, file, tuple(names), regions=size)


class MaskReader:
    """Reads the masks of one video, all with one meaning, see `MaskMeaning`."""

    def __init__(self, masks: MaskFiles, labels: bool = False):
        path = masks.path
        self._key = path.stat().st_mtime_ns, os.getpid()
        self._masks, self._labels = masks, labels

    def path(self, name: str) -> str:
        """What messages call a mask."""
        place = self._masks.path / self._masks.folder
        return f"{place}, frame {stem(name)}" if self._masks.regions else f"{place / name}"

    def read(self, name: str) -> Regions:
        """The ids of a mask; what is to be ignored is 255. `InputError` where they are none."""
        if self._masks.regions is not None:
            return self._region(int(stem(name)) - 1, self._masks.regions)
        raw = self._stored(name)
        mask = Regions(raw)
        if undecided(mask.values):
            mask = Regions(self.meaning.ids(raw))
        if self._masks.only is not None:
            mask = Regions((mask.ids == self._masks.only).view(np.uint8))
        if self._labels:
            check_ids(mask.ids, self.path(name), mask.values)
        return mask

    def _region(self, index: int, size: tuple[int, int]) -> Regions:
        path, file = self._masks.path, self._masks.folder
        parts = [(1, _trajectory(path, file, *self._key)[index])]
        if self._ignored is not None:
            parts.append((VOID, _trajectory(path, self._ignored, *self._key)[index]))
        everywhere = [(value, *part.inside(*size)) for value, part in parts if part is not None]
        placed = [part for part in everywhere if part[3].size]
        if [value for value, *_ in placed] == [1]:
            _, row, column, mask = placed[0]
            return OneObject(mask, (row, column), size)
        if not placed:
            return Regions(np.zeros((1, 64), np.uint8), size=size)
        top = max(min(row for _, row, _, _ in placed) - 1, 0)
        left = max(min(column for _, _, column, _ in placed) - 1, 0) // 64 * 64
        bottom = max(row + mask.shape[0] for _, row, _, mask in placed)
        right = max(column + mask.shape[1] for _, _, column, mask in placed)
        ids = np.zeros((bottom - top, right - left), np.uint8)
        for value, row, column, mask in placed:
            rows, columns = slice(row - top, None), slice(column - left, None)
            ids[rows, columns][: mask.shape[0], : mask.shape[1]][mask] = value
        return Regions(ids, (top, left), size)

    @cached_property
    def _ignored(self) -> str | None:
        """The file of the regions to ignore beside a file of true ones."""
        name = f"{TRUTH}_{IGNORED}.txt"
        there = self._masks.folder.startswith(TRUTH) and (self._masks.path / name).is_file()
        return name if there else None

    def _stored(self, name: str) -> np.ndarray:
        data = opened(self._masks.path, *self._key).read(f"{self._masks.folder}{name}")
        return decode_mask(io.BytesIO(data), self.path(name), binary=self._masks.binary)

    @cached_property
    def meaning(self) -> MaskMeaning:
        stored = (values(self._stored(name)) for name in self._masks.names)
        return meaning_of(stored, self._ignores)

    @property
    def read_as_one_object(self) -> bool:
        """Whether a mask that was read holds 0 and 255 alone, and 255 was taken for an object."""
        return "meaning" in vars(self) and self.meaning is MaskMeaning.ONE_OBJECT

    def _ignores(self) -> bool:
        """Whether some other video of the labels shows that 255 is to be ignored."""
        if not self._labels:
            return False
        root = self._masks.folder.rstrip("/").rpartition("/")[0]
        return _uses_ignore(self._masks.path, *self._key, root)


@lru_cache(maxsize=4)
def _uses_ignore(path: Path, changed: int, process: int, root: str) -> bool:
    """Whether a video below the folder ``root`` of the results has both ids and 255."""
    results = opened(path, changed, process)
    videos = by_video(results.names, f"{root}/" if root else "")
    folders = {video: names for video, names in videos.items() if video}
    return any(
        uses_ignore(_stored_values(results, root, video, names)) for video, names in folders.items()
    )


def _stored_values(
    results: Results, root: str, video: str, names: Sequence[str]
) -> Iterator[list[int]]:
    """What each mask of a video holds; nothing of those that cannot be read."""
    for name in names:
        if name.lower().endswith(".png") and "/" not in name:
            path = "/".join(part for part in (root, video, name) if part)
            try:
                yield values(decode_mask(io.BytesIO(results.read(path)), path))
            except InputError:
                continue


@lru_cache(maxsize=2)
def opened(path: Path, changed: int, process: int) -> Results:
    """The results at ``path``, opened once in every process: two processes that share an open zip
    would move each other's place in it."""
    return Results(path)


@lru_cache(maxsize=4)
def _trajectory(path: Path, file: str, changed: int, process: int) -> Trajectory:
    return parse_trajectory(opened(path, changed, process).read(file), f"{path / file}")
