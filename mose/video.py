"""A video: frames that are decoded when asked for, and the masks that are given with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from mose.masks import object_ids, read_mask
from stseg.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class FrameSource(Protocol):
    """What a `Video` reads from: ``len(source)`` frames, ``source[i]`` is ``(H, W, 3) uint8``."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


class Prompts(Mapping[int, np.ndarray]):
    """Given masks by frame index, each holding only objects that no earlier one holds.

    ``prompts[t]`` is ``(H, W) uint8`` ids; a file behind it is read when asked for.
    Frames whose mask brings no new object are not listed, so a fully annotated video
    prompts every object once, on the frame on which it is first seen.
    """

    def __init__(self, masks: Mapping[int, np.ndarray | tuple[Path, ...]]):
        self._masks = {index: masks[index] for index in sorted(masks)}
        self._shapes: dict[int, tuple[int, ...]] = {}

    @cached_property
    def _new_ids(self) -> dict[int, tuple[int, ...]]:
        seen: set[int] = set()
        fresh: dict[int, tuple[int, ...]] = {}
        for index in self._masks:
            mask = self._read(index)
            self._shapes[index] = mask.shape
            ids = tuple(i for i in object_ids(mask) if i not in seen)
            if ids:
                fresh[index] = ids
                seen.update(ids)
        return fresh

    def _read(self, index: int) -> np.ndarray:
        mask = self._masks[index]
        if isinstance(mask, np.ndarray):
            return mask
        merged = read_mask(mask[0])
        for path in mask[1:]:
            extra = read_mask(path)
            if extra.shape != merged.shape:
                raise InputError(f"mask {path} differs in size from {mask[0]}: make them equal")
            merged = np.where(extra > 0, extra, merged)
        return merged

    def ids(self, index: int) -> tuple[int, ...]:
        """The objects that appear with the mask of frame ``index`` (empty without one)."""
        return self._new_ids.get(index, ())

    def shape(self, index: int) -> tuple[int, ...]:
        """(height, width) of the mask of frame ``index``, which is in the mapping."""
        return self._shapes[index] if index in self._new_ids else ()

    def paths(self) -> tuple[Path, ...]:
        """The mask files behind the prompts, in the order of their frames."""
        files = (mask for mask in self._masks.values() if isinstance(mask, tuple))
        return tuple(path for paths in files for path in paths)

    def source(self, index: int) -> str:
        """Where the mask of frame ``index`` comes from, for messages."""
        mask = self._masks.get(index)
        return str(mask[0]) if isinstance(mask, tuple) else f"the mask of frame {index}"

    def __getitem__(self, index: int) -> np.ndarray:
        wanted = self._new_ids[index]
        keep = np.zeros(256, dtype=np.uint8)
        keep[list(wanted)] = wanted
        return keep[self._read(index)]

    def __iter__(self) -> Iterator[int]:
        return iter(self._new_ids)

    def __len__(self) -> int:
        return len(self._new_ids)

    def __contains__(self, index: object) -> bool:
        return index in self._new_ids


class Video:
    """Frames and prompts of one video.

    name          folder name of the video
    frame_names   file stems, e.g. ``"00000"``; output masks carry the same names
    prompts       `Prompts`: frame index -> ``(H, W) uint8`` ids of the objects that appear there
    object_ids    all ids that are ever given, ascending

    ``video[i]`` (or iterating) decodes one frame: ``(H, W, 3) uint8`` RGB, contiguous.
    Nothing is kept: memory does not grow with the length.
    """

    def __init__(
        self,
        name: str,
        frames: FrameSource,
        prompts: Prompts,
        frame_names: Sequence[str] | None = None,
    ):
        if len(frames) == 0:
            raise InputError(f"video {name} has no frames")
        self.name = name
        self.prompts = prompts
        self.frame_names = tuple(frame_names or (f"{i:05d}" for i in range(len(frames))))
        self._frames = frames

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
        source = _ArrayFrames(frames, name)
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
        """One frame at a smaller size, ``(height, width, 3) uint8`` RGB: cheap, for looking at."""
        if isinstance(self._frames, _FrameFiles):
            frame = read_frame(self._frames.paths[index], at_least=(height, width))
        else:
            frame = self[index]
        return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        if isinstance(self._frames, _FrameFiles):
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

        Of files it takes names and sizes, and the content of the first mask; of arrays,
        everything.
        """
        total = hashlib.sha256()
        if isinstance(self._frames, _FrameFiles):
            for path in (*self._frames.paths, *self.prompts.paths()):
                total.update(f"{path.name} {path.stat().st_size}\n".encode())
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
            raise InputError(
                f"video {self.name} has no object to follow: no given mask holds one;"
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


class _ArrayFrames:
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


class _FrameFiles:
    """Frames in image files."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) from the header of the first file."""
        try:
            with Image.open(self.paths[0]) as image:
                return image.height, image.width
        except (OSError, SyntaxError) as error:
            raise _unreadable(self.paths[0], error) from None

    def __getitem__(self, index: int) -> np.ndarray:
        return read_frame(self.paths[index])


def read_frame(path: str | Path, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """Decode an image file: ``(H, W, 3) uint8`` RGB.

    at_least   (height, width): a JPEG that is 2, 4 or 8 times as large or more is decoded at
               that fraction of its size, which is several times faster

    Pillow, because it reports a truncated file where OpenCV returns a grey rest.
    """
    try:
        with Image.open(path) as image:
            if at_least is not None:
                image.draft("RGB", at_least[::-1])
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: Exception) -> InputError:
    return InputError(f"frame {path} cannot be decoded ({error}): replace it with a whole image")


def _rgb(frame: np.ndarray) -> np.ndarray:
    if frame.ndim == 2:
        frame = frame[..., None]
    if frame.shape[2] == 1:
        frame = np.repeat(frame, 3, axis=2)
    elif frame.shape[2] != 3:
        raise InputError(f"a frame has {frame.shape[2]} channels, expected 3 (RGB) or 1 (grey)")
    return np.ascontiguousarray(frame)


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def open_video(
    images: str | Path,
    annotations: str | Path | Sequence[str | Path] | None = None,
    name: str | None = None,
) -> Video:
    """Open a folder of frames and, beside it, one or more folders of given masks.

    images        ``JPEGImages/<video>`` with frames named by number (``00000.jpg``)
    annotations   ``Annotations/<video>``, or several such folders (objects that appear
                  later may have one of their own); a mask belongs to the frame of its name.
                  A folder that does not exist in a list of several is skipped.

    Nothing is decoded here. Raises `InputError` for a missing or empty folder, for names
    that are not numbers, and for a mask without a frame.
    """
    images = Path(images)
    name = name or images.name
    paths = numbered_files(images, IMAGE_SUFFIXES, "frame")
    if not paths:
        raise InputError(f"folder {images} holds no frames: expected 00000.jpg, 00001.jpg, ...")
    by_number = {int(path.stem): index for index, path in enumerate(paths)}
    if len(by_number) != len(paths):
        raise InputError(f"folder {images} holds two frames with the same number: keep one of them")
    if annotations is None:
        folders = []
    elif isinstance(annotations, (str, Path)):
        folders = [Path(annotations)]
    else:
        folders = [Path(folder) for folder in annotations]
        folders = [folder for folder in folders if folder.is_dir()]
    masks: dict[int, tuple[Path, ...]] = {}
    for folder in folders:
        for path in numbered_files(folder, (".png",), "mask"):
            index = by_number.get(int(path.stem))
            if index is None:
                raise InputError(
                    f"mask {path} belongs to no frame of {images}: remove or rename it"
                )
            masks[index] = (*masks.get(index, ()), path)
    return Video(name, _FrameFiles(paths), Prompts(masks), [path.stem for path in paths])


def numbered_files(folder: str | Path, suffixes: Sequence[str], kind: str) -> list[Path]:
    """The files of ``folder`` with one of ``suffixes``, in the order of their numbers."""
    folder = Path(folder)
    try:
        entries = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"folder {folder} does not exist") from None
    for path in entries:
        if path.name.startswith("."):
            continue
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise InputError(
                f"{kind} {path} has a name that is not a number: rename it like 00000{path.suffix}"
            )
    return sorted((p for p in entries if not p.name.startswith(".")), key=lambda p: int(p.stem))
