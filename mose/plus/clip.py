"""A clip of any source in one form: frames, and masks of ids 1..N read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from mose.palette import object_ids, values
from mose.plus.rle import Segmentation, decode
from mose.readers.images import image_size
from mose.readers.masks import check_ids, read_mask
from mose.readers.meaning import MaskMeaning, meaning_of, undecided
from stseg.errors import InputError

MAX_OBJECTS = 254


class MaskSource(Protocol):
    """Where a clip's masks come from; picklable."""

    def __getitem__(self, index: int, /) -> np.ndarray: ...

    def path(self, index: int) -> Path | None:
        """The PNG behind a mask, where there is one."""


@dataclass(frozen=True)
class SourceClip:
    """A source's clip.

    source   mose, burst, ovis, youtube-vis or davis
    name     in its source
    frames   image files, in order; every one is annotated
    masks    ``masks[t]`` is ``(H, W) uint8`` in the source's ids (at most 254), and 255 where it
             is to be ignored
    notes    what was dropped while reading, in words
    """

    source: str
    name: str
    frames: tuple[Path, ...]
    masks: MaskSource
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, start: int, stop: int, note: str) -> SourceClip:
        """The frames from ``start`` to ``stop``."""
        masks = _Shifted(self.masks, start)
        return replace(self, frames=self.frames[start:stop], masks=masks, notes=(*self.notes, note))

    def mask(self, index: int) -> np.ndarray:
        """``(H, W) uint8`` in the source's ids, of the frame's size; `InputError` otherwise."""
        ids = self.masks[index]
        size = image_size(self.frames[index])
        if ids.shape != size:
            raise InputError(
                f"mask of {self.frames[index]} is {ids.shape[0]} x {ids.shape[1]}, the frame"
                f" {size[0]} x {size[1]}: leave the clip out or mend it"
            )
        return ids


@dataclass(frozen=True)
class BrokenClip:
    """A clip that a source lists and that cannot be read: its name there, and why."""

    source: str
    name: str
    reason: str


@dataclass(frozen=True)
class PngMasks:
    """Masks in palette PNGs, all read with one meaning; what is to be ignored stays 255.

    ignores   whether the rest of the source uses 255 for what is to be ignored
    """

    paths: tuple[Path, ...]
    ignores: bool = False

    @cached_property
    def meaning(self) -> MaskMeaning:
        stored = (values(read_mask(path)) for path in self.paths)
        return meaning_of(stored, lambda: self.ignores)

    def __getitem__(self, index: int) -> np.ndarray:
        raw = read_mask(self.paths[index])
        present = values(raw)
        check_ids(raw, self.paths[index], present)
        return self.meaning.ids(raw) if undecided(present) else raw

    def path(self, index: int) -> Path | None:
        return self.paths[index]


@dataclass(frozen=True)
class TrackMasks:
    """Masks as run lengths per track and frame.

    tracks   ``tracks[n][t]`` is the segmentation of object n + 1 on frame t, or null
    """

    height: int
    width: int
    tracks: tuple[tuple[Segmentation, ...], ...]

    def __getitem__(self, index: int) -> np.ndarray:
        """Where objects overlap, the smaller one is in front. Sources draw whole objects, and the
        other way round a small object could be hidden entirely."""
        ids = np.zeros((self.height, self.width), np.uint8)
        layers = []
        for number, track in enumerate(self.tracks, start=1):
            mask = decode(track[index], self.height, self.width)
            if mask is not None and mask.any():
                layers.append((int(mask.sum()), number, mask))
        for _, number, mask in sorted(layers, key=lambda entry: (-entry[0], entry[1])):
            ids[mask] = number
        return ids

    def path(self, index: int) -> Path | None:
        return None


@dataclass(frozen=True)
class _Shifted:
    masks: MaskSource
    start: int

    def __getitem__(self, index: int) -> np.ndarray:
        return self.masks[self.start + index]

    def path(self, index: int) -> Path | None:
        return self.masks.path(self.start + index)


def number_objects(clip: SourceClip) -> Mapping[int, int]:
    """The source's ids -> 1..N, in order of first appearance, then of id. Reads every mask."""
    seen: dict[int, int] = {}
    for index in range(len(clip)):
        for object_id in object_ids(clip.masks[index]):
            seen.setdefault(object_id, len(seen) + 1)
    return seen
