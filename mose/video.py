"""A video: frames that are decoded when asked for, and the masks that are given with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from mose.findings import Finding
from mose.frames import ArrayFrames, FrameSource, StoredFrames, open_frames
from mose.prompts import Given, GivenMask, Prompts
from mose.readers.folder import IMAGE_SUFFIXES, Listing, list_folder, numbered_files
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


class Video:
    """Frames and prompts of one video.

    name          folder name of the video
    frame_names   file stems, e.g. ``"00000"``; output masks carry the same names
    prompts       `Prompts`: frame index -> ``(H, W) uint8`` ids of the objects that appear there
    object_ids    all ids that are ever given, ascending
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
    ):
        if len(frames) == 0:
            raise InputError(f"video {name} has no frames")
        self.name = name
        self.prompts = prompts
        self.frame_names = tuple(frame_names or (f"{i:05d}" for i in range(len(frames))))
        self._frames = frames
        self._notes = tuple(notes)

    @classmethod
    def from_arrays(
        cls,
        frames: np.ndarray | Sequence[np.ndarray],
        prompts: Mapping[int, np.ndarray],
        name: str = "video",
    ) -> Video:
        """A video from memory.

        frames    ``(T, H, W, 3) uint8`` RGB, or grey ``(T, H, W)``; any sequence of frames
        prompts   ``{frame index: (H, W) uint8 ids}``
        """
        source = ArrayFrames(frames, name)
        checked = {}
        for index, mask in prompts.items():
            mask = np.asarray(mask)
            if not 0 <= index < len(source):
                raise InputError(
                    f"video {name}: a mask is given for frame {index}, but there are"
                    f" {len(source)} frames"
                )
            if mask.ndim != 2 or mask.dtype not in (np.uint8, np.bool_):
                raise InputError(
                    f"video {name}: the mask of frame {index} is {mask.dtype} {mask.shape},"
                    " expected (H, W) uint8 ids"
                )
            if mask.shape != source.size:
                raise InputError(
                    f"video {name}: the mask of frame {index} is {_size(mask.shape)},"
                    f" but the frames are {_size(source.size)}"
                )
            checked[int(index)] = mask.astype(np.uint8)
        return cls(name, source, Prompts(checked))

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
                f"video {self.name}: frame {self.frame_names[index]} is {_size(frame.shape)},"
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

        It is made of the names and sizes of the files and the content of the first mask; of arrays,
        of everything.
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
        return total.hexdigest()[:24]

    def check_prompts(self) -> None:
        """Raise `InputError` unless there is a given mask and every one has the video's size."""
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
                    f"mask {self.prompts.source(index)} is {_size(shape)}, but the frames of"
                    f" video {self.name} are {self.height} x {self.width}: give a mask of the"
                    " same size"
                )

    @property
    def notes(self) -> tuple[Finding, ...]:
        """How the frames are stored, and, where the masks were read, what their values mean."""
        found = [*self._notes]
        if not self.prompts.paths():
            return tuple(found)
        first = self.prompts.source(next(iter(self.prompts.stored_values), 0))
        if self.prompts.per_object:
            sentence = (
                f"video {self.name} has its masks in one folder per object: {first} is that of an"
                " object of its folder's number (one more where they begin at 0)"
            )
            found.append(Finding("per-object", sentence, self.name))
        elif self.prompts.meaning is MaskMeaning.ONE_OBJECT:
            sentence = (
                f"the masks of video {self.name} hold 0 and 255 alone: they are read as one"
                " object, with id 1"
            )
            found.append(Finding("meaning", sentence, self.name))
        for index in self.prompts.ignored:
            sentence = (
                f"mask {self.prompts.source(index)} holds void pixels (255): they are taken for"
                " background, and are no object"
            )
            found.append(
                Finding("void", sentence, self.name, Path(self.prompts.source(index)).name)
            )
        return tuple(found)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def open_video(
    images: str | Path,
    annotations: str | Path | Sequence[str | Path] | None = None,
    name: str | None = None,
    ignores: Callable[[], bool] = lambda: False,
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

    No frame of a folder and no mask is decoded here. Raises `InputError` for a missing or
    empty folder, for whatever in it may be a frame or mask and cannot be used, and for a mask
    without a frame.
    """
    images = Path(images)
    name = name or (images.stem if images.is_file() else images.name)
    frames = open_frames(images, name)
    notes = [*frames.notes]
    masks: dict[int, tuple[GivenMask, ...]] = {}
    order = {number: index for index, number in enumerate(sorted(frames.numbers.values()))}
    for place in _given_places(annotations):
        if place.is_file():
            masks[0] = (*masks.get(0, ()), GivenMask(place))
            continue
        listing = list_folder(place, "mask", name, frames.numbers)
        per_object = _object_folders(listing)
        for object_id, folder in per_object.items():
            inner = list_folder(folder, "mask", name, frames.numbers)
            _add(masks, inner, order, images, object_id)
            notes += inner.notes
        if not per_object:
            _add(masks, listing, order, images, None)
            notes += listing.notes
    given: dict[int, Given] = {**masks}
    return Video(name, frames, Prompts(given, ignores), frames.names, notes)


def _given_places(annotations: str | Path | Sequence[str | Path] | None) -> list[Path]:
    if annotations is None:
        return []
    if isinstance(annotations, (str, Path)):
        return [Path(annotations)]
    return [place for place in map(Path, annotations) if place.exists()]


def _object_folders(listing: Listing) -> dict[int, Path]:
    """Object id -> the folder of its masks, where masks lie in one folder per object.

    Folders are named by object, from 0 (SA-V) or 1 on.
    """
    if listing.files or not listing.folders:
        return {}
    numbered = {name: int(name) for name in listing.folders if name.isascii() and name.isdigit()}
    if len(numbered) < len(listing.folders):
        odd = next(name for name in listing.folders if name not in numbered)
        raise InputError(
            f"folder {listing.folder} holds no masks but folders ({odd}): expected 00000.png in"
            " it, or a folder per object, named 1, 2, ..."
        )
    start = 1 if 0 in numbered.values() else 0
    found = {number + start: listing.folder / name for name, number in numbered.items()}
    if len(found) < len(numbered) or max(found) > 254:
        raise InputError(
            f"folder {listing.folder} holds folders of objects {', '.join(listing.folders[:8])}:"
            " ids go from 1 to 254, each once; renumber them"
        )
    return dict(sorted(found.items()))


def _add(
    masks: dict[int, tuple[GivenMask, ...]],
    listing: Listing,
    order: Mapping[int, int],
    images: Path,
    object_id: int | None,
) -> None:
    for number, path in listing.check().files:
        if number not in order:
            raise InputError(f"mask {path} belongs to no frame of {images}: remove or rename it")
        index = order[number]
        masks[index] = (*masks.get(index, ()), GivenMask(path, object_id))
