"""YouTube-VOS 2018 and 2019: categories and frames of every object in ``meta.json``.

Source: https://youtube-vos.org/dataset/vos, and eval.py of hkchengrex/XMem, which packs a folder
``Annotations`` with the frames of the split ``valid``. In ``valid_all_frames`` lie all frames, of
which the server takes every fifth: those that the meta file names.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mose.boards.board import CODALAB_LIMIT, Board, meta_with
from mose.dataset import Dataset
from mose.meta import VideoMeta


def shown_by(root: Path) -> str | None:
    """A meta file whose objects have a category."""
    files = [root / "meta.json"]
    return meta_with(files, lambda meta: any(track.category for track in meta.tracks.values()))


def wanted(dataset: Dataset, video: str) -> Collection[str] | None:
    """The frames that the meta file names for any object of the video."""
    tracks = dataset.meta.get(video, VideoMeta()).tracks.values()
    return frozenset(name for track in tracks for name in track.frames or ()) or None


BOARD = Board(
    name="ytvos",
    summary="YouTube-VOS 2018 and 2019",
    protocol="ytvos",
    server="the YouTube-VOS server",
    shown_by=shown_by,
    prefix="Annotations/",
    needs="meta.json",
    wanted=wanted,
    size_limit=CODALAB_LIMIT,
)
