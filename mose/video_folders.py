"""Which videos a data set's folder of frames holds: folders, movies, those that a list names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mose.findings import Finding
from mose.readers.folder import MOVIE_SUFFIXES, leftover
from mose.readers.lists import read_names
from stseg.errors import InputError


@dataclass(frozen=True)
class VideoFolders:
    """The videos of a split: names, file names of the movies among them, notes."""

    names: tuple[str, ...]
    movies: frozenset[str]
    notes: tuple[Finding, ...]


def list_videos(images: Path, listed: Path | None) -> VideoFolders:
    """Every folder and movie of ``images``, or those that the list in the file ``listed`` names."""
    folders: set[str] = set()
    movies: dict[str, str] = {}
    notes: list[Finding] = []
    for entry in sorted(os.scandir(images), key=lambda e: e.name):
        name = Path(entry.name)
        if leftover(entry.name):
            continue
        if entry.is_dir():
            folders.add(entry.name)
        elif entry.is_file() and name.suffix.lower() in MOVIE_SUFFIXES:
            if name.stem in movies:
                used = movies[name.stem]
                sentence = f"movie {images / entry.name} has the name of {used}, which is used"
                notes.append(Finding("stray-file", sentence, name.stem, entry.name))
            movies.setdefault(name.stem, entry.name)
        else:
            gone = (
                "a link to nothing" if not entry.is_file() else "no folder of frames and no movie"
            )
            sentence = f"{images / entry.name} is {gone}: it is not used"
            notes.append(Finding("stray-file", sentence, None, entry.name))
    for both in sorted(folders & movies.keys()):
        movie = images / movies.pop(both)
        sentence = f"movie {movie} lies beside the folder of its name: the folder is used"
        notes.append(Finding("stray-file", sentence, both))
    everything = folders | movies.keys()
    if not everything:
        raise InputError(
            f"folder {images} holds no videos: expected <video>/00000.jpg or <video>.mp4 in it"
        )
    names = tuple(sorted(everything))
    if listed is not None:
        names, more = _listed(images, listed, names)
        notes += more
    return VideoFolders(names, frozenset(movies[n] for n in names if n in movies), tuple(notes))


def _listed(
    images: Path, listed: Path, there: tuple[str, ...]
) -> tuple[tuple[str, ...], list[Finding]]:
    """The videos that a split's list names, and notes on entries in other cases."""
    names = read_names(listed, "the split's list")
    meant = names.matched(there)
    if not meant.names and not meant.nowhere:
        raise InputError(f"the split's list {listed} names no video: complete it")
    if meant.nowhere:
        raise InputError(
            f"video {meant.nowhere[0]} of the split's list {listed} is not in {images}"
            f" ({len(meant.nowhere)} of {len(meant.nowhere) + len(meant.names)} are missing):"
            " complete the data set"
        )
    notes = [
        Finding("list-case", f"list {listed} writes '{entry}' for video {name}", name)
        for entry, name in meant.otherwise
    ]
    return tuple(sorted(meant.names)), notes
