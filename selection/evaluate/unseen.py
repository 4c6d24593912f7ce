"""Which labelled objects are of kinds that the training set has none of.

::

    unseen_videos.txt                       videos whose objects are all unseen (LVOS)
    ImageSets/2022/val_unseen.txt           the same, for the list val.txt (VISOR)
    meta.json  ../train/meta.json           an object's category is not among those of the
                                            training set (YouTube-VOS)

in the folder of the labels or up to three folders above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from mose.meta import read_meta
from mose.readers.lists import read_names

LEVELS = 3
"""``Annotations/480p`` and a split lie between the labels and the root."""

UnseenObjects = frozenset[tuple[str, int]]
"""Video and id."""


def unseen_objects(truth: Path, videos: Mapping[str, Collection[int]]) -> UnseenObjects | None:
    """Those of the objects of ``videos`` that are unseen; None where nothing tells."""
    folders = _folders(truth)
    lists = [path for folder in folders for path in _lists(folder)]
    if lists:
        names = read_names(lists[0], "list of unseen videos").matched(videos).names
        return frozenset((video, i) for video in names for i in videos[video])
    for folder in folders:
        training = folder.parent / "train" / "meta.json"
        if (folder / "meta.json").is_file() and training.is_file():
            seen = set(_categories(training).values())
            kinds = _categories(folder / "meta.json")
            return frozenset(
                (video, i)
                for video, ids in videos.items()
                for i in ids
                if kinds.get((video, i)) not in (None, *seen)
            )
    return None


def _folders(truth: Path) -> list[Path]:
    start = truth.resolve()
    start = start if start.is_dir() else start.parent
    return [start, *start.parents][: LEVELS + 1]


def _lists(folder: Path) -> Iterator[Path]:
    if (folder / "unseen_videos.txt").is_file():
        yield folder / "unseen_videos.txt"
    yield from sorted((folder / "ImageSets").glob("*/*_unseen.txt"))


def _categories(path: Path) -> dict[tuple[str, int], str]:
    """Video and id -> the object's category."""
    return {
        (video, object_id): track.category
        for video, meta in read_meta(path).items()
        for object_id, track in meta.tracks.items()
        if track.category is not None
    }
