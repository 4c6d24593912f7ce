"""The part of a run that exports read: videos, their objects and frames, the selected masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mose.frames import frames_place, open_frames
from mose.masks import read_mask
from mose.video import IMAGE_SUFFIXES, numbered_files
from selection.record import read_records
from selection.run_paths import RunPaths
from stseg.errors import InputError
from stseg.files import read_json


@dataclass(frozen=True)
class VideoMasks:
    """One video of a run.

    object_ids   ascending
    stems        frame names, in order
    size         (height, width)
    folder       its selected masks
    images       its frames, which may be gone
    """

    name: str
    object_ids: tuple[int, ...]
    stems: tuple[str, ...]
    size: tuple[int, int]
    folder: Path
    images: Path

    def masks(self) -> Iterator[np.ndarray]:
        """``(H, W) uint8`` selected ids, frame by frame."""
        for stem in self.stems:
            ids = read_mask(self.folder / f"{stem}.png", binary=False)
            if ids.shape != self.size:
                raise InputError(
                    f"mask {self.folder / stem}.png is {ids.shape[0]} x {ids.shape[1]}, the first"
                    f" one of the video {self.size[0]} x {self.size[1]}: make the video again"
                )
            yield ids

    def frames(self) -> Iterator[np.ndarray]:
        """``(H, W, 3) uint8`` frames, one per mask. `InputError` where they are gone."""
        source = open_frames(frames_place(self.images), self.name)
        order = {stem: index for index, stem in enumerate(source.names)}
        for stem in self.stems:
            if stem not in order:
                raise InputError(f"frame {self.images / stem} is gone: restore it")
            yield source[order[stem]]

    def frame_names(self) -> tuple[str, ...]:
        """File names of the frames: those that are there, else ``<frame>.jpg``."""
        there = {}
        if self.images.is_dir():
            there = {p.stem: p.name for p in numbered_files(self.images, IMAGE_SUFFIXES, "frame")}
        return tuple(there.get(stem, f"{stem}.jpg") for stem in self.stems)


@dataclass(frozen=True)
class RunMasks:
    """The finished videos of a run; ``images`` is the data set's folder of frames."""

    root: Path
    images: Path
    videos: tuple[VideoMasks, ...]


def open_run_masks(root: str | Path, videos: tuple[str, ...] = ()) -> RunMasks:
    """The finished videos of the run in ``root``, or those of them that are named.

    Raises `InputError` for a folder that is no run and for a video that is not in it.
    """
    root = Path(root)
    run = RunPaths(root)
    environment = read_json(run.environment)
    if environment is None or "images" not in environment:
        raise InputError(f"{root} is no run folder (no {run.environment.name}): give one")
    images = Path(environment["images"])
    records = read_records(root)
    names = {record.video for record in records}
    for name in videos:
        if name not in names:
            raise InputError(f"run {root} has no finished video {name}: choose one it has")
    finished = []
    for record in records:
        name = record.video
        if videos and name not in videos:
            continue
        folder = run.masks(name)
        paths = numbered_files(folder, (".png",), "mask")
        if not paths:
            raise InputError(f"folder {folder} holds no masks: run the video again")
        height, width = read_mask(paths[0], binary=False).shape
        stems = tuple(path.stem for path in paths)
        ids = tuple(sorted(record.objects))
        finished.append(VideoMasks(name, ids, stems, (height, width), folder, images / name))
    if not finished:
        raise InputError(f"run {root} has no finished video: nothing to export")
    return RunMasks(root, images, tuple(finished))


def box(plane: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), half open, around a ``(H, W) bool`` mask that is not empty."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
