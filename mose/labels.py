"""Full labels of a video: matched to its frames by number, read with one meaning."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mose.given_files import given_files
from mose.palette import values
from mose.prompts import GivenMask, read_given
from mose.readers.masks import check_ids
from mose.readers.meaning import MaskMeaning, meaning_of, undecided
from stseg.errors import InputError

if TYPE_CHECKING:
    from mose.video import Video


class NoLabels(InputError):
    """A video without a single label where labels were asked for."""


class LabelMasks:
    """The labels of a video's frames, as far as there are any.

    paths     frame index -> the files that make up its label, ascending; found by number, whatever
              the padding of the names and the case of their suffix. Labels may lie in one folder
              per object; where objects overlap, the smaller one is in front
    strays    labels whose number no frame has

    ``labels(index)`` is ``(H, W) uint8`` ids, in which 255 is to be ignored, or None.
    Raises `InputError` for files that cannot be used and where no frame has a label.
    """

    def __init__(self, folder: Path, video: Video, ignores: Callable[[], bool] = lambda: False):
        self.folder, self._video, self._ignores = folder, video, ignores
        self.paths, self.strays = label_paths(folder, video)
        if not self.paths:
            raise NoLabels(
                f"video {video.name} has no label: folder {folder} has no mask for any of its"
                f" {len(video)} frames; expected {video.frame_names[0]}.png"
            )

    @property
    def count(self) -> str:
        """How many labels were found, in words."""
        video = self._video
        return f"labels of {len(self.paths)} of {len(video)} frames of video {video.name}"

    def counts(self, index: int) -> bool:
        """Whether a frame's label is scored: DAVIS and MOSE leave out the first and the last one.
        The last frame of the video counts here, because callers leave it out themselves."""
        return index in self._between or (index in self.paths and index == len(self._video) - 1)

    @cached_property
    def _between(self) -> frozenset[int]:
        return frozenset(sorted(self.paths)[1:-1])

    def check_complete(self, why: str) -> None:
        """`InputError` unless every frame has a label; ``why`` one is needed."""
        names = self._video.frame_names
        missing = next((name for i, name in enumerate(names) if i not in self.paths), None)
        if missing is not None:
            raise InputError(f"label {self.folder / missing}.png is missing ({self.count}): {why}")

    @cached_property
    def _meaning(self) -> MaskMeaning:
        stored = (values(read_given(files)) for files in self.paths.values())
        return meaning_of(stored, self._ignores)

    def __call__(self, index: int) -> np.ndarray | None:
        files = self.paths.get(index)
        return None if files is None else self.read(files)

    def read(self, files: tuple[GivenMask, ...]) -> np.ndarray:
        """One of the masks."""
        video, path = self._video, files[0].path
        raw = read_given(files)
        if raw.shape != (video.height, video.width):
            raise InputError(
                f"label {path} is {raw.shape[0]} x {raw.shape[1]}, but the frames of video"
                f" {video.name} are {video.height} x {video.width}: give labels of the same size"
            )
        present = values(raw)
        check_ids(raw, path, present)
        return self._meaning.ids(raw) if undecided(present) else raw


def label_paths(
    folder: Path, video: Video
) -> tuple[dict[int, tuple[GivenMask, ...]], tuple[Path, ...]]:
    """Frame index -> the files of its label, and the labels whose number no frame has; empty
    without any.

    `InputError` for a folder that cannot be used.
    """
    if not folder.is_dir():
        return {}, ()
    numbers = video.numbers
    masks = given_files([folder], video.name, numbers).masks
    order = {number: index for index, number in enumerate(sorted(numbers.values()))}
    strays = tuple(files[0].path for number, files in masks.items() if number not in order)
    return {order[n]: masks[n] for n in sorted(masks) if n in order}, strays
