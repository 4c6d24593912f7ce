"""Movie files as videos: decoded frame by frame with PyAV, nothing is written to disk.

PyAV rather than OpenCV, whose seeking lands on other frames where the rate varies or frames
are reordered, and whose count of frames is a guess from the duration. Here the frames are
those that are coded, each once, in the order in which they are shown; their times are not
looked at, so a variable rate neither repeats nor drops one.
"""

from __future__ import annotations

import bisect
import hashlib
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mose.findings import Finding
from stseg.cli import counted
from stseg.errors import InputError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

HASHED = 1 << 16
"""Bytes at each end of a movie that tell it from another of its size."""
FAR = 64
"""Frames that are decoded and left rather than sought past."""


class Movie:
    """The frames of a movie file, upright; ``movie[i]`` is ``(H, W, 3) uint8`` RGB.

    Reading in order decodes every frame once; elsewhere the key frame before it is sought.
    Safe to read from several threads, one at a time; another process opens it anew.
    """

    def __init__(self, path: Path, video: str | None = None):
        self.path, self._video = path, video
        self.notes: tuple[Finding, ...] = ()
        self._lock = threading.Lock()
        self._decoding: Iterator[VideoFrame] | None = None
        self._container: Any = None
        self._next = 0
        sentence = f"video {video or path.stem} is the movie {path}: {counted(len(self), 'frame')}"
        self.notes = (Finding("movie", sentence, video, path.name),)

    def __reduce__(self) -> tuple[type[Movie], tuple[Path, str | None]]:
        return type(self), (self.path, self._video)

    @cached_property
    def _times(self) -> tuple[int, ...]:
        """When each frame is shown, ascending: from the packets, without decoding."""
        container = self._opened()
        try:
            stream = container.streams.video[0]
            times = [p.pts for p in container.demux(stream) if p.size and not p.is_discard]
        except Exception as error:  # libav raises its own kinds
            raise self._unreadable(error) from None
        finally:
            container.close()
        if None in times or len(set(times)) != len(times):
            times = [frame.pts for frame in self._frames()]
        if not times:
            raise InputError(f"movie {self.path} holds no frame: replace it")
        return tuple(sorted(times))

    def _opened(self) -> Any:
        import av  # takes a fifth of a second

        try:
            container = av.open(str(self.path))
        except Exception as error:
            raise self._unreadable(error) from None
        if not container.streams.video:
            container.close()
            raise InputError(f"movie {self.path} has no picture: give one that has")
        container.streams.video[0].thread_type = "AUTO"
        return container

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"movie {self.path} cannot be decoded ({getattr(error, 'strerror', '') or error}):"
            " replace it, or give its frames as images"
        )

    def _frames(self) -> Iterator[VideoFrame]:
        with self._opened() as container:
            yield from container.decode(video=0)

    def __len__(self) -> int:
        return len(self._times)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{index:05d}" for index in range(len(self)))

    @property
    def numbers(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def size(self) -> tuple[int, int]:
        height, width = self[0].shape[:2]
        return height, width

    def __getitem__(self, index: int) -> np.ndarray:
        with self._lock:
            try:
                return self._upright(self._at(index))
            except InputError:
                raise
            except Exception as error:
                self._decoding = None
                raise self._unreadable(error) from None

    def small(self, index: int, at_least: tuple[int, int]) -> np.ndarray:
        return self[index]

    def _at(self, index: int) -> VideoFrame:
        if self._decoding is None or not self._next <= index < self._next + FAR:
            self._seek(index)
        assert self._decoding is not None
        for frame in self._decoding:
            shown = bisect.bisect_left(self._times, frame.pts or 0)
            self._next = shown + 1
            if shown == index:
                return frame
            if shown > index:
                break
        self._decoding = None
        raise InputError(
            f"movie {self.path} cannot be decoded at frame {index}: replace it, or give its frames"
            " as images"
        )

    def _seek(self, index: int) -> None:
        if self._container is not None:
            self._container.close()
        self._container = self._opened()
        if index:
            stream = self._container.streams.video[0]
            self._container.seek(self._times[index], stream=stream, backward=True)
        self._decoding = self._container.decode(video=0)
        self._next = 0

    @staticmethod
    def _upright(frame: VideoFrame) -> np.ndarray:
        """As a player shows it: turned by the movie's display matrix."""
        image = frame.to_ndarray(format="rgb24")
        turns = round(getattr(frame, "rotation", 0) / 90) % 4  # counter-clockwise
        return np.ascontiguousarray(np.rot90(image, turns))

    def fingerprint(self, total: hashlib._Hash) -> None:
        size = self.path.stat().st_size
        total.update(f"{self.path.name} {size}\n".encode("utf-8", "surrogateescape"))
        with open(self.path, "rb") as file:
            total.update(file.read(HASHED))
            file.seek(max(0, size - HASHED))
            total.update(file.read(HASHED))
