"""Where the frames of a video come from: arrays, a folder of images, a movie file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from mose.findings import Finding
from mose.readers.folder import MOVIE_SUFFIXES, Listing, list_folder
from mose.readers.images import Depth, image_size, range_of, read_frame
from mose.readers.movies import Movie
from stseg.errors import InputError


class FrameSource(Protocol):
    """What a `Video` reads from: ``len(source)`` frames, ``source[i]`` is ``(H, W, 3) uint8``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


@runtime_checkable
class StoredFrames(FrameSource, Protocol):
    """Frames on disk.

    names    of the frames, as masks carry them
    numbers  the number in each name, by name
    notes    what is worth knowing of how they are stored
    size     (height, width) upright, without decoding a folder's frame
    """

    notes: tuple[Finding, ...]

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def numbers(self) -> dict[str, int]: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def small(self, index: int, at_least: tuple[int, int]) -> np.ndarray:
        """A frame at (height, width) ``at_least`` or more, decoded the cheap way."""

    def fingerprint(self, total: hashlib._Hash) -> None:
        """Add to a hash what changes when frames are replaced."""


class ArrayFrames:
    """Frames in memory; grey ones get three channels when asked for."""

    def __init__(self, frames: np.ndarray | Sequence[np.ndarray], name: str):
        self._frames = frames
        if len(frames) == 0:
            raise InputError(f"video {name} has no frames")
        first = np.asarray(frames[0])
        if first.dtype != np.uint8 or first.ndim not in (2, 3):
            raise InputError(
                f"video {name}: frames are {first.dtype} {first.shape},"
                " expected (H, W, 3) uint8 RGB"
            )
        self.size: tuple[int, int] = first.shape[:2]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> np.ndarray:
        return _rgb(np.asarray(self._frames[index]))


def _rgb(frame: np.ndarray) -> np.ndarray:
    if frame.ndim == 2:
        frame = frame[..., None]
    if frame.shape[2] == 1:
        frame = np.repeat(frame, 3, axis=2)
    elif frame.shape[2] != 3:
        raise InputError(f"a frame has {frame.shape[2]} channels, expected 3 (RGB) or 1 (grey)")
    return np.ascontiguousarray(frame)


class FrameFiles:
    """Frames in image files.

    numbers   the number in each name, by name; none where no mask is to be matched
    """

    def __init__(
        self,
        paths: Sequence[Path],
        numbers: Mapping[str, int] | None = None,
        notes: tuple[Finding, ...] = (),
    ):
        self.paths = tuple(paths)
        self.numbers = dict(numbers or {})
        self.notes = notes

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(path.stem for path in self.paths)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) from the header of the first file."""
        return image_size(self.paths[0])

    def __getitem__(self, index: int) -> np.ndarray:
        return read_frame(self.paths[index], depth=lambda: self._depth)

    def small(self, index: int, at_least: tuple[int, int]) -> np.ndarray:
        return read_frame(self.paths[index], at_least, depth=lambda: self._depth)

    @cached_property
    def _depth(self) -> Depth:
        return range_of(self.paths)

    def fingerprint(self, total: hashlib._Hash) -> None:
        for path in self.paths:
            total.update(f"{path.name} {path.stat().st_size}\n".encode("utf-8", "surrogateescape"))


def frames_place(folder: Path) -> Path:
    """The folder of a video's frames, or the movie of its name where there is no such folder."""
    movies = (folder.with_name(f"{folder.name}{suffix}") for suffix in MOVIE_SUFFIXES)
    return folder if folder.exists() else next((m for m in movies if m.is_file()), folder)


def open_frames(place: str | Path, name: str | None = None) -> FrameFiles | Movie:
    """The frames of a video: a folder of images, a movie file (told by its content, whatever its
    suffix), or a folder that holds one movie.

    Raises `InputError` where there are none, and for whatever a folder holds that may be a
    frame and cannot be used.
    """
    place = Path(place)
    if place.is_file():
        return Movie(place, name)
    listing = list_folder(place, "frame", name)
    movies = movies_in(listing)
    if not listing.files and len(movies) == 1:
        return Movie(movies[0], name)
    listing.check()
    if not listing.files:
        raise InputError(f"folder {place} holds no frames: {_what_is_there(listing, movies)}")
    return FrameFiles(listing.paths, listing.numbers, listing.notes)


def movies_in(listing: Listing) -> list[Path]:
    """The movie files of a folder."""
    names = [f.file for f in listing.findings if f.file]
    return [listing.folder / n for n in names if Path(n).suffix.lower() in MOVIE_SUFFIXES]


def _what_is_there(listing: Listing, movies: Sequence[Path]) -> str:
    if len(movies) > 1:
        return f"it holds {len(movies)} movies, give each a folder of its own"
    if listing.folders:
        below = listing.folders[0]
        return (
            f"it holds folders ({below}), so frames may lie one level deeper; move these up into"
            f" {listing.folder.parent}, where folders of videos are looked for"
        )
    return "expected 00000.jpg, 00001.jpg, ..."
