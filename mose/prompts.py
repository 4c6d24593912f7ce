"""The masks that are given with a video: which objects appear where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mose.palette import VOID, values
from mose.readers.masks import check_ids, read_mask
from mose.readers.meaning import MaskMeaning, meaning_of
from stseg.errors import InputError


@dataclass(frozen=True)
class GivenMask:
    """A mask file.

    object_id   the object that every value but 0 stands for, where a folder of one object
                holds the file; None: the file holds ids
    """

    path: Path
    object_id: int | None = None


Given = np.ndarray | tuple[GivenMask, ...]
"""The mask of a frame: an array, or the files that make it up."""


def read_given(files: tuple[GivenMask, ...]) -> np.ndarray:
    """``(H, W) uint8``: the mask that some files make up, with the values that are stored.

    `InputError` for files that cannot be read or differ in size.
    """
    shared: list[np.ndarray] = []
    whole: list[np.ndarray] = []
    for given in files:
        layer = read_mask(given.path, binary=given.object_id is not None)
        layers = shared if given.object_id is None else whole
        layers.append(layer if given.object_id is None else layer * np.uint8(given.object_id))
        first = (shared or whole)[0]
        if layer.shape != first.shape:
            raise InputError(
                f"mask {given.path} differs in size from {files[0].path}: make them equal"
            )
    # Whole objects overlap, as in SA-V: the smaller one is in front, or it would be lost.
    whole.sort(key=np.count_nonzero, reverse=True)
    merged, *others = (*shared, *whole)
    for layer in others:
        merged = np.where(layer > 0, layer, merged)
    return merged


class Prompts(Mapping[int, np.ndarray]):
    """Given masks by frame index, each holding only objects that no earlier one holds.

    ``prompts[t]`` is ``(H, W) uint8`` ids; a file behind it is read when asked for.
    Frames whose mask brings no new object are not listed, so a fully annotated video
    prompts every object once, on the frame on which it is first seen.

    ignores   whether the data set uses 255 for what is to be ignored; asked only where all
              masks hold 0 and 255 alone
    whole     frame index -> object -> ``(H, W) bool``: masks of objects that others hide in part
    """

    def __init__(
        self,
        masks: Mapping[int, Given],
        ignores: Callable[[], bool] = lambda: False,
        whole: Mapping[int, Mapping[int, np.ndarray]] | None = None,
    ):
        self._masks = {index: masks[index] for index in sorted(masks)}
        self._ignores = ignores
        self._whole = whole or {}
        self._shapes: dict[int, tuple[int, ...]] = {}

    @cached_property
    def stored_values(self) -> dict[int, tuple[int, ...]]:
        """Frame index -> the values that its mask holds as it is stored, ascending. Reads every
        mask, and raises `InputError` for one that is none of ids."""
        stored: dict[int, tuple[int, ...]] = {}
        for index in self._masks:
            raw = self._stored(index)
            self._shapes[index] = raw.shape
            present = values(raw)
            if isinstance(self._masks[index], tuple):
                check_ids(raw, self.source(index), present)
            stored[index] = tuple(present)
        return stored

    @cached_property
    def meaning(self) -> MaskMeaning:
        """How all masks of the video are read."""
        if any(isinstance(mask, np.ndarray) for mask in self._masks.values()):
            return MaskMeaning.OBJECT_IDS
        return meaning_of(self.stored_values.values(), self._ignores)

    @property
    def ignored(self) -> tuple[int, ...]:
        """Frames whose masks hold pixels that are to be ignored."""
        if self.meaning is MaskMeaning.ONE_OBJECT:
            return ()
        return tuple(index for index, present in self.stored_values.items() if VOID in present)

    @cached_property
    def _new_ids(self) -> dict[int, tuple[int, ...]]:
        seen: set[int] = set()
        fresh: dict[int, tuple[int, ...]] = {}
        for index, present in self.stored_values.items():
            ids = tuple(i for i in self.meaning.objects(present) if i not in seen)
            if ids:
                fresh[index] = ids
                seen.update(ids)
        return fresh

    def _stored(self, index: int) -> np.ndarray:
        mask = self._masks[index]
        if isinstance(mask, np.ndarray):
            return mask
        return read_given(mask)

    def ids(self, index: int) -> tuple[int, ...]:
        """The objects that appear with the mask of frame ``index`` (empty without one)."""
        return self._new_ids.get(index, ())

    def shape(self, index: int) -> tuple[int, ...]:
        """(height, width) of the mask of frame ``index``, which is in the mapping."""
        return self._shapes[index] if index in self._new_ids else ()

    def paths(self) -> tuple[Path, ...]:
        """The mask files behind the prompts, in the order of their frames."""
        files = (mask for mask in self._masks.values() if isinstance(mask, tuple))
        return tuple(given.path for masks in files for given in masks)

    @property
    def object_folders(self) -> dict[int, str]:
        """Object -> the folder of its masks, where they lie in one folder per object."""
        files = (mask for mask in self._masks.values() if isinstance(mask, tuple))
        every = (given for masks in files for given in masks)
        return {g.object_id: g.path.parent.name for g in every if g.object_id is not None}

    @property
    def per_object(self) -> bool:
        """Whether the masks lie in one folder per object."""
        return bool(self.object_folders)

    def source(self, index: int) -> str:
        """Where the mask of frame ``index`` comes from, for messages."""
        mask = self._masks.get(index)
        return str(mask[0].path) if isinstance(mask, tuple) else f"the mask of frame {index}"

    def plane(self, index: int, object_id: int) -> np.ndarray:
        """``(H, W) bool``: an object that appears with the mask of frame ``index``, whole where it
        has a file of its own."""
        files = self._masks[index]
        own = (
            [m.path for m in files if m.object_id == object_id] if isinstance(files, tuple) else []
        )
        if own:
            return read_mask(own[0], binary=True) > 0
        shared: np.ndarray = self[index] == object_id
        return shared

    def hidden(self, index: int) -> dict[int, np.ndarray]:
        """Object -> ``(H, W) bool``: the whole masks of objects that appear with the mask of frame
        ``index`` and that others hide in part there."""
        if index in self._whole:
            return {i: p for i, p in self._whole[index].items() if i in self.ids(index)}
        if not self.per_object or index not in self:
            return {}
        shown = self[index]
        planes = {i: self.plane(index, i) for i in self.ids(index)}
        return {i: plane for i, plane in planes.items() if (plane & (shown != i)).any()}

    def __getitem__(self, index: int) -> np.ndarray:
        wanted = self._new_ids[index]
        keep = np.zeros(256, dtype=np.uint8)
        keep[list(wanted)] = wanted
        return keep[self.meaning.ids(self._stored(index))]

    def __iter__(self) -> Iterator[int]:
        return iter(self._new_ids)

    def __len__(self) -> int:
        return len(self._new_ids)

    def __contains__(self, index: object) -> bool:
        return index in self._new_ids
