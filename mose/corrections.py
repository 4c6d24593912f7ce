"""Masks on later frames for objects that are there already, and what a frame brings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from mose.palette import VOID, object_ids
from mose.readers.folder import list_folder
from mose.readers.masks import read_mask
from stseg.errors import InputError
from stseg.text import read_json

GONE = "gone.json"
"""File that lists objects which are not there."""


class Appearances(Protocol):
    """What corrections need of prompts: frames, and the objects that appear on each."""

    def ids(self, index: int) -> tuple[int, ...]: ...

    def __iter__(self) -> Iterator[int]: ...


@dataclass(frozen=True)
class Correction:
    """What is corrected on one frame.

    ids    the corrected objects, ascending; those without a pixel in ``mask`` are gone
    mask   ``(H, W) uint8`` ids, of corrected objects alone; None: all of them are gone
    """

    ids: tuple[int, ...]
    mask: np.ndarray | None


@dataclass(frozen=True)
class GivenMasks:
    """The masks that come with a frame.

    new         objects that appear with it, ascending
    corrected   objects that are corrected on it, ascending
    mask        ``(H, W) uint8`` ids of both; a corrected object without a pixel is gone. Where
                a new and a corrected object claim a pixel, the corrected one has it
    whole       ``(H, W) bool`` masks of new objects that others hide in part, where a video
                lets objects overlap
    """

    new: tuple[int, ...]
    corrected: tuple[int, ...]
    mask: np.ndarray
    whole: Mapping[int, np.ndarray] = field(default_factory=dict)

    def plane(self, object_id: int) -> np.ndarray:
        """``(H, W) bool``: the mask of one object, whole where that is known."""
        hidden = self.whole.get(object_id)
        plane: np.ndarray = self.mask == object_id if hidden is None else hidden
        return plane

    @property
    def gone(self) -> tuple[int, ...]:
        """The corrected objects that are not there."""
        there = object_ids(self.mask)
        return tuple(i for i in self.corrected if i not in there)

    def painted(self, ids: np.ndarray) -> np.ndarray:
        """A mask ``(H, W) uint8`` with these verbatim over it, and without other pixels of the
        objects that are corrected."""
        if self.corrected:
            ids = np.where(np.isin(ids, self.corrected), 0, ids).astype(np.uint8)
        return np.where(self.mask > 0, self.mask, ids)


class Corrections(Mapping[int, Correction]):
    """Corrections by frame index; a file behind one is read when asked for.

    masks     frame index -> ``(H, W) uint8`` ids, or the file that holds them: only objects
              that are corrected; another is untouched. A mask without any object says that
              every object given on earlier frames is gone, unless ``gone`` names some
    gone      frame index -> objects that are not there from that frame on, until a model
              finds them again
    prompts   the prompts of the same video
    listed    the file behind ``gone``

    Values are as in given masks; 255 is the object of a video that has only one, else void.
    """

    def __init__(
        self,
        masks: Mapping[int, np.ndarray | Path],
        gone: Mapping[int, Collection[int]],
        prompts: Appearances,
        listed: Path | None = None,
    ):
        self._listed = (listed,) if listed else ()
        self._masks, self._prompts = dict(masks), prompts
        self._gone = {index: tuple(sorted(set(ids))) for index, ids in gone.items() if ids}
        self._frames = tuple(sorted({*self._masks, *self._gone}))
        self._found: dict[int, tuple[int, ...]] = {}

    def paths(self) -> tuple[Path, ...]:
        """The mask files, in the order of their frames, and the list of who is gone."""
        masks = (self._masks.get(index) for index in self._frames)
        return (*(mask for mask in masks if isinstance(mask, Path)), *self._listed)

    def source(self, index: int) -> str:
        """Where the correction of frame ``index`` comes from, for messages."""
        mask = self._masks.get(index)
        return str(mask) if isinstance(mask, Path) else f"the correction of frame {index}"

    def ids(self, index: int) -> tuple[int, ...]:
        """The objects that are corrected on frame ``index``."""
        if index not in self._found:
            self._found[index] = self[index].ids if index in self else ()
        return self._found[index]

    def __getitem__(self, index: int) -> Correction:
        if index not in self:
            raise KeyError(index)
        gone = self._gone.get(index, ())
        if index not in self._masks:
            return Correction(gone, None)
        mask = self._read(index)
        there = object_ids(mask)
        if not there and not gone:
            gone = tuple(sorted(i for i, first in self._firsts.items() if first < index))
        return Correction(tuple(sorted({*there, *gone})), mask)

    def _read(self, index: int) -> np.ndarray:
        mask = self._masks[index]
        if isinstance(mask, np.ndarray):
            return mask
        ids = read_mask(mask)
        void = ids == VOID
        if not void.any():
            return ids
        only = next(iter(self._firsts)) if len(self._firsts) == 1 else 0
        if not only and not object_ids(ids):
            raise InputError(
                f"correction {mask} holds 0 and 255 alone, and its video has"
                f" {len(self._firsts)} objects: write the id of the one that it corrects"
            )
        return np.where(void, only, ids).astype(np.uint8)

    @cached_property
    def _firsts(self) -> dict[int, int]:
        """Object -> the frame of its prompt."""
        return {i: index for index in self._prompts for i in self._prompts.ids(index)}

    def check(self, video: str, frames: Sequence[str], size: tuple[int, int]) -> None:
        """Raise `InputError` for a correction that says nothing of the video.

        frames   names of the video's frames
        size     (height, width)
        """
        for index in self:
            source = self.source(index)
            if not 0 <= index < len(frames):
                raise InputError(
                    f"video {video}: a correction is given for frame {index}, but there are"
                    f" {len(frames)} frames"
                )
            correction = self[index]
            if correction.mask is not None and correction.mask.shape != size:
                raise InputError(
                    f"{source} is {size_text(correction.mask.shape)}, but the frames of video"
                    f" {video} are {size_text(size)}: give a mask of the same size"
                )
            for object_id in correction.ids:
                first = self._firsts.get(object_id)
                if first is None:
                    raise InputError(
                        f"{source} corrects object {object_id}, which no given mask of video"
                        f" {video} holds: give its first mask with the annotations"
                    )
                if index <= first:
                    when = "on the frame of" if index == first else "before"
                    raise InputError(
                        f"{source} corrects object {object_id} {when} its given mask (frame"
                        f" {frames[first]} of video {video}): change that mask, or leave the"
                        " correction out"
                    )
            twice = set(self._gone.get(index, ()))
            twice &= set() if correction.mask is None else set(object_ids(correction.mask))
            if twice:
                raise InputError(
                    f"{source} has pixels of object {min(twice)}, which is said to be gone on"
                    f" frame {frames[index]} of video {video}: keep one of the two"
                )

    def mapped(
        self, function: Callable[[np.ndarray], np.ndarray], prompts: Appearances
    ) -> Corrections:
        """With every mask through a function that neither adds nor removes objects."""
        masks, gone = {}, {}
        for index in self:
            ids, mask = self[index].ids, self[index].mask
            there = object_ids(mask) if mask is not None else ()
            if mask is not None:
                masks[index] = function(mask)
            gone[index] = [i for i in ids if i not in there]
        return Corrections(masks, gone, prompts)

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, index: object) -> bool:
        return index in self._masks or index in self._gone


def masks_in_turn(
    masks: Sequence[GivenMasks | None],
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray], dict[int, tuple[int, ...]]]:
    """Prompts, corrections and who is gone, by place, of masks that come one after another: the
    first mask of an object is its prompt, every later one a correction."""
    prompts: dict[int, np.ndarray] = {}
    corrections: dict[int, np.ndarray] = {}
    gone: dict[int, tuple[int, ...]] = {}
    seen: set[int] = set()
    for place, given in enumerate(masks):
        if given is None:
            continue
        there = object_ids(given.mask)
        known = [i for i in there if i in seen]
        if len(known) < len(there):
            prompts[place] = np.where(np.isin(given.mask, known), 0, given.mask).astype(np.uint8)
        if known:
            again = np.isin(given.mask, known)
            corrections[place] = np.where(again, given.mask, 0).astype(np.uint8)
        if left := tuple(i for i in given.gone if i in seen):
            gone[place] = left
        seen.update(there)
    return prompts, corrections, gone


def read_corrections(
    folder: Path, video: str, frames: Mapping[str, int], prompts: Appearances
) -> Corrections:
    """The corrections of a video in a folder.

    ::

        <video>/00012.png   ids of the corrected objects, 0 elsewhere
        <video>/gone.json   {"00012": [3]}: who is not there from that frame on

    frames   names of the video's frames, and their numbers, by which masks are matched

    No mask is decoded. Raises `InputError` for a mask or an entry that belongs to no frame.
    """
    order = {number: index for index, number in enumerate(sorted(frames.values()))}
    masks: dict[int, np.ndarray | Path] = {}
    for number, path in list_folder(folder, "mask", video, frames).check().files:
        if number not in order:
            raise InputError(
                f"correction {path} belongs to no frame of video {video}: name it like the frame"
            )
        masks[order[number]] = path
    gone: dict[int, Collection[int]] = {}
    listed = folder / GONE
    for frame, ids in (_read_gone(listed) if listed.is_file() else {}).items():
        named = frames.get(frame, int(frame) if frame.isascii() and frame.isdigit() else -1)
        if named not in order:
            raise InputError(
                f"entry {frame} of {listed} belongs to no frame of video {video}: name it like"
                " the frame"
            )
        gone[order[named]] = ids
    return Corrections(masks, gone, prompts, listed if listed.is_file() else None)


def _read_gone(path: Path) -> dict[str, list[int]]:
    try:
        listed = read_json(path, "list of objects that are gone")
        return {str(frame): [int(i) for i in ids] for frame, ids in listed.items()}
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f'{path} is damaged: expected {{"00012": [3]}}, frames and the ids of objects that'
            " are not there"
        ) from None


def checked_masks(
    masks: Mapping[int, np.ndarray], name: str, length: int, size: tuple[int, int]
) -> dict[int, np.ndarray]:
    """Masks of a video's frames as ``uint8``; `InputError` for one that does not fit."""
    checked = {}
    for index, mask in masks.items():
        mask = np.asarray(mask)
        if not 0 <= index < length:
            raise InputError(
                f"video {name}: a mask is given for frame {index}, but there are {length} frames"
            )
        if mask.ndim != 2 or mask.dtype not in (np.uint8, np.bool_):
            raise InputError(
                f"video {name}: the mask of frame {index} is {mask.dtype} {mask.shape},"
                " expected (H, W) uint8 ids"
            )
        if mask.shape != size:
            raise InputError(
                f"video {name}: the mask of frame {index} is {size_text(mask.shape)},"
                f" but the frames are {size_text(size)}"
            )
        checked[int(index)] = mask.astype(np.uint8)
    return checked


def checked_stretch(start: int, stop: int, name: str, length: int) -> range:
    """Indices from ``start`` to before ``stop``, backwards if that is below; `InputError` where
    there are none, or the video has them not."""
    if not 0 <= start < length or not -1 <= stop <= length or start == stop:
        raise InputError(
            f"video {name} has {length} frames: an excerpt from {start} to {stop} needs at least"
            " one, and none beyond them"
        )
    return range(start, stop, 1 if start < stop else -1)


class Frames(Protocol):
    """What frames are taken from."""

    def __getitem__(self, index: int, /) -> np.ndarray: ...


class ChosenFrames:
    """Some frames of a video, in any order."""

    def __init__(self, video: Frames, indices: Sequence[int]):
        self._video, self._indices = video, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._video[self._indices[index]]


def size_text(size: Sequence[int]) -> str:
    """``height x width``, for messages."""
    return f"{size[0]} x {size[1]}"
