"""A folder or zip of masks as a model, so that masks made elsewhere can be a member.

There are two layouts, with the video folders at the root or in wrapping folders::

    <video>/00000.png          palette or 8-bit grey PNGs of object ids
    <video>/<id>/00000.png     one 0/255 mask per object, e.g. SAM2's per-object output
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from mose import InputError, Video
from mose.findings import NOTE, Finding
from mose.masks import values
from mose.readers.meaning import undecided
from mose.results import Results, foreign_ids, judge_mask, name_findings, wrapping
from stseg.config import option

UNKNOWN_QUALITY = 0.5
"""Confidence of masks that come without an estimate of their quality."""


@dataclass(frozen=True)
class FolderOptions:
    """Options of `FolderSegmenter`."""

    path: str = option(
        "", doc="Folder or zip that holds `<video>/00000.png` or `<video>/<id>/00000.png`."
    )


class FolderSegmenter(Segmenter):
    """Serves the masks of a folder or zip, checked by the rules of `mose.check`.

    Every frame must have its mask, of the frame's size and with given ids only; a
    per-object mask may be missing before its object is given. Pixels of an object on a
    frame before it is given are dropped. Where per-object masks overlap, the lower id
    keeps the pixel.
    """

    name = "folder"
    summary = "serves a folder or zip of PNG masks made elsewhere"
    needs_weights = False
    Options = FolderOptions

    def __init__(self, weights: None = None, device: str = "cpu", **options: str):
        super().__init__(weights, device, **options)
        if not self.options.path:
            raise InputError("adapter 'folder' needs the option 'path': a folder or zip of masks")
        self._results = Results(self.options.path)
        self._wrapping = wrapping(self._results.names)

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        video.check_prompts()
        masks = self._masks(video)
        ids: tuple[int, ...] = ()
        for index, frame in enumerate(video.frame_names):
            ids = (*ids, *video.prompts.ids(index))
            mask = masks.read(frame, ids)
            mask = np.where(np.isin(mask, ids), mask, 0).astype(np.uint8)
            given = video.given(index)
            if given is not None and given.corrected:
                mask = given.painted(mask)
            present = np.isin(ids, values(mask)).astype(np.float32)
            quality = np.full(len(ids), UNKNOWN_QUALITY, dtype=np.float32)
            yield FrameMasks(index, ids, present, quality, mask, Expansion("labels"))

    def _masks(self, video: Video) -> _IdMasks | _ObjectMasks:
        """The reader for the video's layout; all file names are checked."""
        prefix = f"{video.name}/"
        if not self._results.below(prefix):
            prefix = self._wrapping + prefix
        files = self._results.below(prefix)
        if not files:
            raise InputError(
                f"{self.options.path} holds no masks of video {video.name}: expected"
                f" {video.name}/{video.frame_names[0]}.png in it"
            )
        if all("/" in file for file in files):
            return _ObjectMasks(self._results, video, prefix, files)
        return _IdMasks(self._results, video, prefix, files)


class _IdMasks:
    """``<video>/00000.png``: ids of all objects in one mask."""

    def __init__(self, results: Results, video: Video, prefix: str, files: Collection[str]):
        self._results, self._video, self._prefix = results, video, prefix
        _refuse(results, name_findings(video.name, files, video.frame_names, prefix))

    def read(self, frame: str, ids: Sequence[int]) -> np.ndarray:
        return _read(
            self._results, f"{self._prefix}{frame}.png", self._video, self._video.object_ids
        )


class _ObjectMasks:
    """``<video>/<id>/00000.png``: a mask per object, any value but 0 is the object."""

    def __init__(self, results: Results, video: Video, prefix: str, files: Collection[str]):
        self._results, self._video = results, video
        folders: dict[str, set[str]] = {}
        for file in files:
            folder, _, rest = file.partition("/")
            folders.setdefault(folder, set()).add(rest)
        self._folders = {_object_id(results, prefix, name): name for name in sorted(folders)}
        foreign = sorted(set(self._folders) - set(video.object_ids))
        if foreign:
            raise InputError(
                f"{results.path}: folder {prefix}{self._folders[foreign[0]]} holds an object that"
                f" the given masks of video {video.name} do not have: remove it"
            )
        for index in video.prompts:
            for object_id in video.prompts.ids(index):
                name = self._folders.get(object_id)
                there = folders.get(name or "", set())
                folder = f"{prefix}{name or object_id}/"
                before = {f"{frame}.png" for frame in video.frame_names[:index]}
                wanted = video.frame_names[index:]
                _refuse(results, name_findings(video.name, there - before, wanted, folder))
        self._prefix = prefix

    def read(self, frame: str, ids: Sequence[int]) -> np.ndarray:
        video = self._video
        merged = np.zeros((video.height, video.width), dtype=np.uint8)
        for object_id in sorted(ids, reverse=True):
            name = f"{self._prefix}{self._folders[object_id]}/{frame}.png"
            merged[_read(self._results, name, video, None, binary=True) > 0] = object_id
        return merged


def _object_id(results: Results, prefix: str, name: str) -> int:
    if name.isascii() and name.isdigit() and 0 < int(name) < 255:
        return int(name)
    raise InputError(
        f"{results.path}: folder {prefix}{name} is not named by an object id: expected"
        f" {prefix}1/00000.png or {prefix}00000.png"
    )


def _read(
    results: Results,
    name: str,
    video: Video,
    ids: Collection[int] | None,
    binary: bool = False,
) -> np.ndarray:
    size = video.height, video.width
    mask, findings = judge_mask(results.read(name), name, video.name, size, None, binary=binary)
    if mask is not None and undecided(values(mask)):
        mask = video.prompts.meaning.ids(mask)  # the convention of the video's own masks
    if mask is not None and ids is not None:
        findings += foreign_ids(mask, name, video.name, ids)
    _refuse(results, findings)
    assert mask is not None
    return mask


def _refuse(results: Results, findings: Iterator[Finding] | list[Finding]) -> None:
    """Raise `InputError` for the first finding that a server would reject or score as zero."""
    for finding in findings:
        if finding.severity != NOTE:
            raise InputError(f"{results.path}: {finding.sentence}")
