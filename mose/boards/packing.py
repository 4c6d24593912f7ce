"""The zip that a board's server takes, made of a run's masks.

``masks/<video>/<frame>.png`` holds ids; ``objects/<video>/<object>/<frame>.png``, where there are
such, the mask of one object by itself, which others may overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mose.boards.board import Board, MaskForm
from mose.boards.vots import region_file
from mose.dataset import Dataset
from mose.given_files import object_folders
from mose.masks import plane_png, read_mask
from mose.readers.folder import list_folder
from mose.readers.regions import trajectory_bytes
from mose.submission import chosen_videos, masks_of, text_name, write_entries, write_submission
from stseg.errors import InputError


@dataclass(frozen=True)
class MaskFolders:
    """Where a run has its masks.

    masks     is the folder of the id masks of every video
    objects   is that of the masks of single objects; it need not exist
    """

    masks: Path
    objects: Path

    def plane(self, video: str, object_id: int, stem: str) -> np.ndarray:
        """``(H, W) bool``: an object on a frame, by itself where it was kept so."""
        alone = self.objects / video / f"{object_id:03d}" / f"{stem}.png"
        if alone.is_file():
            return read_mask(alone, binary=True) > 0
        plane: np.ndarray = read_mask(self.masks / video / f"{stem}.png") == object_id
        return plane


def pack(
    board: Board,
    folders: MaskFolders,
    target: Path,
    videos: Iterable[str] | None = None,
    dataset: Dataset | None = None,
) -> int:
    """Write the zip ``target``; returns the number of files in it.

    dataset   tells which frames are wanted and how objects are called; only boards that want
              some frames or single objects need it

    Raises `InputError` for a missing video or mask.
    """
    chosen = chosen_videos(folders.masks, videos)
    if board.form is MaskForm.IDS:
        frames = None
        if dataset is not None:
            wanted = {video: board.wanted(dataset, video) for video in chosen}
            frames = {video: names for video, names in wanted.items() if names is not None}
        return write_submission(folders.masks, target, chosen, frames, board.prefix)
    if dataset is None:
        raise InputError(f"the zip of board {board.name} needs the data set: name it")
    entries = _objects if board.form is MaskForm.PER_OBJECT else _regions
    return write_entries(target, entries(board, folders, chosen, dataset))


def _objects(
    board: Board, folders: MaskFolders, videos: Iterable[str], dataset: Dataset
) -> Iterator[tuple[str, bytes]]:
    """A PNG of 0 and 1 per object and frame, in the data set's names for its objects."""
    for video in videos:
        opened = dataset.video(video)
        names = folder_names(dataset, video)
        paths = masks_of(folders.masks / video, board.wanted(dataset, video))
        for object_id in opened.object_ids:
            for path in paths:
                plane = folders.plane(video, object_id, path.stem)
                own = names.get(object_id, f"{object_id:03d}")
                name = f"{board.prefix}{text_name(video)}/{own}/{path.name}"
                yield name, plane_png(plane)


def _regions(
    board: Board, folders: MaskFolders, videos: Iterable[str], dataset: Dataset
) -> Iterator[tuple[str, bytes]]:
    """A region file per object, with the mark of the toolkit on the first frame of each."""
    for video in videos:
        opened = dataset.video(video)
        paths = masks_of(folders.masks / video)
        for object_id in opened.object_ids:
            planes = (
                folders.plane(video, object_id, path.stem) if index else None
                for index, path in enumerate(paths)
            )
            yield region_file(dataset.root, video, object_id), trajectory_bytes(planes)


def folder_names(dataset: Dataset, video: str) -> dict[int, str]:
    """Object id -> the name of its folder in the data set, where objects have one each."""
    given = dataset.annotations[0] / video
    if not given.is_dir():
        return {}
    return {i: path.name for i, path in object_folders(list_folder(given, "mask")).items()}
