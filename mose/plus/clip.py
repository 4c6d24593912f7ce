"""A clip of any source in one form: frames, and masks of ids 1..N read when asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from mose.frames import FrameFiles
from mose.palette import object_ids, values
from mose.plus.rle import Segmentation, decode
from mose.prompts import GivenMask, read_given
from mose.readers.images import image_size
from mose.readers.masks import check_ids
from mose.readers.meaning import MaskMeaning, meaning_of, undecided
from mose.readers.movies import Movie
from stseg.errors import InputError

MAX_OBJECTS = 254


class MaskSource(Protocol):
    """Where a clip's masks come from; picklable."""

    def __getitem__(self, index: int, /) -> np.ndarray: ...

    def path(self, index: int) -> Path | None:
        """The PNG of ids behind a mask, where one file is all of it."""

    def files(self, index: int) -> tuple[Path, ...]:
        """Every file behind a mask."""


@dataclass(frozen=True)
class ClipFrames:
    """The frames of a clip: some of those of a video, in order.

    ``frames[t]`` is ``(H, W, 3) uint8`` RGB, upright.
    """

    stored: FrameFiles | Movie
    indices: Sequence[int]

    @classmethod
    def of(cls, stored: FrameFiles | Movie, indices: Sequence[int] | None = None) -> ClipFrames:
        """Those with some indices; None: all."""
        return cls(stored, range(len(stored)) if indices is None else indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self.stored[self.indices[index]]

    def path(self, index: int) -> Path | None:
        """The file that holds a frame alone; None: a movie holds them all."""
        return None if isinstance(self.stored, Movie) else self.stored.paths[self.indices[index]]

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of a frame, upright; decodes no file of one frame."""
        path = self.path(index)
        return self.stored.size if path is None else image_size(path)

    def source(self, index: int) -> str:
        """Where a frame comes from, for messages."""
        path = self.path(index)
        movie = getattr(self.stored, "path", None)
        return f"frame {self.indices[index]} of {movie}" if path is None else str(path)


@dataclass(frozen=True)
class SourceClip:
    """A source's clip.

    source   mose, burst, ovis, youtube-vis or davis
    name     in its source
    frames   `ClipFrames`; every one is annotated
    masks    ``masks[t]`` is ``(H, W) uint8`` in the source's ids (at most 254), and 255 where it
             is to be ignored
    notes    what was dropped while reading, in words
    """

    source: str
    name: str
    frames: ClipFrames
    masks: MaskSource
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, start: int, stop: int, note: str) -> SourceClip:
        """The frames from ``start`` to ``stop``."""
        masks = _Shifted(self.masks, start)
        frames = replace(self.frames, indices=self.frames.indices[start:stop])
        return replace(self, frames=frames, masks=masks, notes=(*self.notes, note))

    def mask(self, index: int) -> np.ndarray:
        """``(H, W) uint8`` in the source's ids, of the frame's size; `InputError` otherwise."""
        ids = self.masks[index]
        size = self.frames.size(index)
        if ids.shape != size:
            raise InputError(
                f"mask of {self.frames.source(index)} is {ids.shape[0]} x {ids.shape[1]}, the frame"
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
    """Masks in PNGs, all read with one meaning; what is to be ignored stays 255.

    given     of every frame the files that make up its mask
    ignores   whether the rest of the source uses 255 for what is to be ignored
    """

    given: tuple[tuple[GivenMask, ...], ...]
    ignores: bool = False

    @cached_property
    def meaning(self) -> MaskMeaning:
        stored = (values(read_given(files)) for files in self.given)
        return meaning_of(stored, lambda: self.ignores)

    def __getitem__(self, index: int) -> np.ndarray:
        raw = read_given(self.given[index])
        present = values(raw)
        check_ids(raw, self.given[index][0].path, present)
        return self.meaning.ids(raw) if undecided(present) else raw

    def path(self, index: int) -> Path | None:
        alone = len(self.given[index]) == 1 and self.given[index][0].object_id is None
        return self.given[index][0].path if alone else None

    def files(self, index: int) -> tuple[Path, ...]:
        return tuple(given.path for given in self.given[index])


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

    def files(self, index: int) -> tuple[Path, ...]:
        return ()


@dataclass(frozen=True)
class _Shifted:
    masks: MaskSource
    start: int

    def __getitem__(self, index: int) -> np.ndarray:
        return self.masks[self.start + index]

    def path(self, index: int) -> Path | None:
        return self.masks.path(self.start + index)

    def files(self, index: int) -> tuple[Path, ...]:
        return self.masks.files(self.start + index)


def number_objects(clip: SourceClip) -> Mapping[int, int]:
    """The source's ids -> 1..N, in order of first appearance, then of id. Reads every mask."""
    seen: dict[int, int] = {}
    for index in range(len(clip)):
        for object_id in object_ids(clip.masks[index]):
            seen.setdefault(object_id, len(seen) + 1)
    return seen
