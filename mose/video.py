"""A video: frames that are decoded when asked for, and the masks that are given with it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from mose.corrections import (
    ChosenFrames,
    Corrections,
    GivenMasks,
    checked_masks,
    checked_stretch,
    masks_in_turn,
    read_corrections,
    size_text,
)
from mose.findings import Finding
from mose.frames import ArrayFrames, FrameSource, StoredFrames, open_frames
from mose.given_files import given_files
from mose.palette import VOID, object_ids
from mose.prompts import Given, Prompts
from mose.readers.folder import IMAGE_SUFFIXES, numbered_files
from mose.readers.images import read_frame
from mose.readers.meaning import MaskMeaning
from mose.readers.numbers import number_names
from stseg.errors import InputError

__all__ = [
    "IMAGE_SUFFIXES",
    "FrameSource",
    "Prompts",
    "Video",
    "numbered_files",
    "open_video",
    "read_frame",
]


MaskFunction = Callable[[np.ndarray], np.ndarray]


class Video:
    """Frames and prompts of one video.

    name          folder name of the video
    frame_names   file stems, e.g. ``"00000"``; output masks carry the same names
    prompts       `Prompts`: frame index -> ``(H, W) uint8`` ids of the objects that appear there
    corrections   `Corrections`: frame index -> masks of objects that are there already
    object_ids    all ids that are ever given, ascending
    indices       of an `excerpt`: for each of its frames the index in the whole video
    overlapping   whether `given` says of objects that others hide in part how they are as a whole
    notes         what is worth knowing of how it was read

    ``video[i]`` (or iterating) decodes one frame: ``(H, W, 3) uint8`` RGB, contiguous.
    Nothing is kept: memory does not grow with the length.
    """

    def __init__(
        self,
        name: str,
        frames: FrameSource,
        prompts: Prompts,
        frame_names: Sequence[str] | None = None,
        notes: Sequence[Finding] = (),
        corrections: Corrections | None = None,
    ):
        if len(frames) == 0:
            raise InputError(f"video {name} has no frames")
        self.name = name
        self.prompts = prompts
        self.corrections = corrections or Corrections({}, {}, prompts)
        self.indices: Sequence[int] = range(len(frames))
        self.overlapping = False
        self.frame_names = tuple(frame_names or (f"{i:05d}" for i in range(len(frames))))
        self._frames = frames
        self._notes = tuple(notes)

    @classmethod
    def from_arrays(
        cls,
        frames: np.ndarray | Sequence[np.ndarray],
        prompts: Mapping[int, np.ndarray],
        name: str = "video",
        corrections: Mapping[int, np.ndarray] | None = None,
        gone: Mapping[int, Collection[int]] | None = None,
    ) -> Video:
        """A video from memory.

        frames        ``(T, H, W, 3) uint8`` RGB, or grey ``(T, H, W)``; any sequence of frames
        prompts       ``{frame index: (H, W) uint8 ids}``
        corrections   the same, of objects given on earlier frames, see `Corrections`
        gone          ``{frame index: ids}`` of objects that are not there from then on
        """
        source = ArrayFrames(frames, name)
        checked = checked_masks(prompts, name, len(source), source.size)
        video = cls(name, source, Prompts(checked))
        return video.with_corrections(corrections or {}, gone or {})

    def with_corrections(
        self,
        masks: Mapping[int, np.ndarray],
        gone: Mapping[int, Collection[int]] | None = None,
    ) -> Video:
        """This video with these corrections in place of its own.

        masks   ``{frame index: (H, W) uint8 ids}``, see `Corrections`
        gone    ``{frame index: ids}``

        `InputError` for those that do not fit the video.
        """
        size = (self.height, self.width)
        checked = checked_masks(masks, self.name, len(self), size)
        video = copy.copy(self)
        video.corrections = Corrections(checked, gone or {}, self.prompts)
        if video.corrections:
            video.corrections.check(self.name, self.frame_names, size)
        return video

    def over(self, frames: FrameSource, function: MaskFunction | None = None) -> Video:
        """The same video read from other frames, with its masks through a function.

        frames     as many, of one size
        function   ``(H, W) uint8`` -> the same at the size of ``frames``; None: as they are
        """
        prompts, corrections = self.prompts, self.corrections
        if function is not None:
            hidden = {index: prompts.hidden(index) for index in prompts if self.overlapping}
            whole = {
                index: {i: function(plane.astype(np.uint8)) > 0 for i, plane in planes.items()}
                for index, planes in hidden.items()
            }
            masks = {index: function(mask) for index, mask in prompts.items()}
            prompts = Prompts(masks, whole=whole)
            corrections = corrections.mapped(function, prompts)
        video = Video(self.name, frames, prompts, self.frame_names, corrections=corrections)
        video.indices, video.overlapping = self.indices, self.overlapping
        return video

    def with_overlap(self) -> Video:
        """This video, whose `given` masks of objects that others hide in part are whole too."""
        video = copy.copy(self)
        video.overlapping = True
        return video

    def given(self, index: int) -> GivenMasks | None:
        """The masks that come with a frame, prompts and corrections; None: there are none."""
        new = self.prompts.ids(index)
        corrected = self.corrections.ids(index)
        whole = self.prompts.hidden(index) if self.overlapping and new else {}
        if not corrected:
            return GivenMasks(new, (), self.prompts[index], whole) if new else None
        mask = self.corrections[index].mask
        if mask is None:
            mask = np.zeros((self.height, self.width), dtype=np.uint8)
        if new:
            mask = np.where(mask > 0, mask, self.prompts[index])
        return GivenMasks(new, corrected, mask, whole)

    def excerpt(self, memory: Mapping[int, np.ndarray], start: int, stop: int) -> Video:
        """A part of the video that a segmenter may run over as over any video.

        memory   frame index -> ``(H, W) uint8`` ids. These frames come first, in the order of
                 the mapping, for their masks alone: what a segmenter answers to them is of no
                 interest
        start    index of the first frame after those
        stop     index before which the excerpt ends; below ``start`` it runs backwards

        The first mask that the excerpt has of an object is its prompt, every later one a
        correction: first those of ``memory``, then the video's own prompts and corrections on
        the frames from ``start`` on. An object that none of them holds is not followed. Frames
        are read when asked for; ``indices[i]`` is the video's index of frame ``i``.
        """
        masks = checked_masks(memory, self.name, len(self), (self.height, self.width))
        stretch = checked_stretch(start, stop, self.name, len(self))
        indices = (*masks, *stretch)
        shown = [GivenMasks(object_ids(mask), (), mask) for mask in masks.values()]
        in_turn = [*shown, *map(self.given, stretch)]
        prompts, corrections, gone = masks_in_turn(in_turn)
        whole = {place: masks.whole for place, masks in enumerate(in_turn) if masks}
        given = Prompts(prompts, whole=whole)
        frames, names = ChosenFrames(self, indices), [self.frame_names[i] for i in indices]
        corrected = Corrections(corrections, gone, given)
        video = Video(self.name, frames, given, names, corrections=corrected)
        video.indices, video.overlapping = indices, self.overlapping
        return video

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Name of a frame -> its number, by which masks are matched."""
        if isinstance(self._frames, StoredFrames):
            return self._frames.numbers
        named = number_names(self.frame_names).numbers
        whole = len(named) == len(self.frame_names)
        return dict(named) if whole else {name: i for i, name in enumerate(self.frame_names)}

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        frame = self._frames[index]
        if frame.shape[:2] != (self.height, self.width):
            raise InputError(
                f"video {self.name}: frame {self.frame_names[index]} is {size_text(frame.shape)},"
                f" but the first frame is {self.height} x {self.width}: all frames of a video"
                " must have one size"
            )
        return frame

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def small(self, index: int, height: int, width: int) -> np.ndarray:
        """One frame at a smaller size, ``(height, width, 3) uint8`` RGB, decoded cheaply for
        display."""
        if isinstance(self._frames, StoredFrames):
            frame = self._frames.small(index, (height, width))
        else:
            frame = self[index]
        return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        if isinstance(self._frames, StoredFrames):
            return self._frames.size
        height, width = self._frames[0].shape[:2]
        return int(height), int(width)

    @property
    def height(self) -> int:
        return self._shape[0]

    @property
    def width(self) -> int:
        return self._shape[1]

    @cached_property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(sorted(i for index in self.prompts for i in self.prompts.ids(index)))

    def fingerprint(self) -> str:
        """A short hash that changes when frames or given masks are replaced by others.

        It is made of the names and sizes of the files and the content of the first mask; of arrays
        and of corrections, of everything.
        """
        total = hashlib.sha256()
        if isinstance(self._frames, StoredFrames):
            self._frames.fingerprint(total)
            for path in self.prompts.paths():
                line = f"{path.name} {path.stat().st_size}\n"
                total.update(line.encode("utf-8", "surrogateescape"))
            for path in self.prompts.paths()[:1]:
                total.update(path.read_bytes())
        else:
            for frame in self:
                total.update(frame.tobytes())
            for index in self.prompts:
                total.update(str(index).encode() + self.prompts[index].tobytes())
        for index, correction in self.corrections.items():
            total.update(f"corrected {self.frame_names[index]} {correction.ids}".encode())
            if correction.mask is not None:
                total.update(correction.mask.tobytes())
        return total.hexdigest()[:24]

    def check_prompts(self) -> None:
        """Raise `InputError` unless there is a given mask, every one has the video's size, and
        corrections are of objects that are there already."""
        if not self.prompts:
            void = " but what is to be ignored (255)" if self.prompts.ignored else ""
            raise InputError(
                f"video {self.name} has no object to follow: no given mask holds one{void};"
                " expected a mask for its first frame"
            )
        for index in self.prompts:
            shape = self.prompts.shape(index)
            if shape != (self.height, self.width):
                raise InputError(
                    f"mask {self.prompts.source(index)} is {size_text(shape)}, but the frames of"
                    f" video {self.name} are {self.height} x {self.width}: give a mask of the"
                    " same size"
                )
        if self.corrections:
            self.corrections.check(self.name, self.frame_names, (self.height, self.width))

    @property
    def notes(self) -> tuple[Finding, ...]:
        """How the frames are stored, and, where the masks were read, what their values mean."""
        notes = [*self._notes]
        if not self.prompts.paths():
            return tuple(notes)
        if self.prompts.per_object:
            folders = self.prompts.object_folders.items()
            told = ", ".join(f"{object_id} in {name}" for object_id, name in folders)
            sentence = f"video {self.name} has one folder of masks per object: object {told}"
            notes.append(Finding("per-object", sentence, self.name))
        elif self.prompts.meaning is MaskMeaning.ONE_OBJECT:
            sentence = (
                f"the masks of video {self.name} hold 0 and 255 alone: they are read as one"
                " object, with id 1"
            )
            notes.append(Finding("meaning", sentence, self.name))
        first = next(iter(self.prompts.stored_values), None)
        if first is not None and not {0, VOID} & set(self.prompts.stored_values[first]):
            sentence = (
                f"mask {self.prompts.source(first)} has no background: every pixel has an id and"
                " is followed; if one of these is the background, make it 0"
            )
            notes.append(
                Finding("no-background", sentence, self.name, Path(self.prompts.source(first)).name)
            )
        for index in self.prompts.ignored:
            sentence = (
                f"mask {self.prompts.source(index)} holds void pixels (255): they are taken for"
                " background, and are no object"
            )
            notes.append(
                Finding("void", sentence, self.name, Path(self.prompts.source(index)).name)
            )
        return tuple(notes)


def open_video(
    images: str | Path,
    annotations: str | Path | Sequence[str | Path] | None = None,
    name: str | None = None,
    ignores: Callable[[], bool] = lambda: False,
    corrections: str | Path | None = None,
) -> Video:
    """Open the frames of a video and, beside them, one or more folders of given masks.

    images        ``JPEGImages/<video>`` with frames named by number (``00000.jpg``,
                  ``frame_00000.jpg``), or a movie file (``.mp4``, ``.mov``, ``.avi``,
                  ``.webm``)
    annotations   ``Annotations/<video>``, or several such folders (objects that appear
                  later may have one of their own); a mask belongs to the frame of its number.
                  A folder that does not exist in a list of several is skipped. Masks may lie
                  in one folder per object (``Annotations/<video>/001/00000.png``). One PNG
                  alone is the mask of the first frame.
    ignores       whether the data set uses 255 for what is to be ignored, see `MaskMeaning`
    corrections   a folder as in `mose.corrections.read_corrections`; it need not exist

    No frame of a folder and no mask is decoded here. Raises `InputError` for a missing or
    empty folder, for whatever in it may be a frame or mask and cannot be used, and for a mask
    without a frame.
    """
    images = Path(images)
    name = name or (images.stem if images.is_file() else images.name)
    frames = open_frames(images, name)
    files = given_files(_given_places(annotations), name, frames.numbers)
    order = {number: index for index, number in enumerate(sorted(frames.numbers.values()))}
    given: dict[int, Given] = {}
    for number, masks in files.masks.items():
        if number not in order:
            raise InputError(
                f"mask {masks[0].path} belongs to no frame of {images}: remove or rename it"
            )
        given[order[number]] = masks
    prompts = Prompts(given, ignores)
    corrected = None
    if corrections is not None and Path(corrections).is_dir():
        corrected = read_corrections(Path(corrections), name, frames.numbers, prompts)
    notes = (*frames.notes, *files.notes)
    return Video(name, frames, prompts, frames.names, notes, corrected)


def _given_places(annotations: str | Path | Sequence[str | Path] | None) -> list[Path]:
    if annotations is None:
        return []
    if isinstance(annotations, (str, Path)):
        return [Path(annotations)]
    return [place for place in map(Path, annotations) if place.exists()]
