"""MP4 files from frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from stseg.errors import InputError

ENCODERS = ("libx264", "libvpx-vp9")
QUALITY = "20"
"""Constant rate factor: thin outlines of masks stay sharp."""


def even(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) without an odd last row or column: encoders want even sizes."""
    return size[0] - size[0] % 2, size[1] - size[1] % 2


def write_movie(
    path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], frames_per_second: float
) -> None:
    """Write ``(H, W, 3) uint8`` RGB frames of (height, width) ``size``, cut to `even`.

    H.264 in 4:2:0 with its index in front, which every browser plays; PyAV's wheel has the
    encoder, OpenCV's has only MPEG-4 part 2, which no browser plays, and VP9. Where the encoder
    is missing, VP9. Raises `InputError` where there is neither.
    """
    height, width = even(size)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        rate = Fraction(frames_per_second).limit_denominator(1001)
        stream = cast("av.VideoStream", container.add_stream(_encoder(path), rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": QUALITY, "preset": "veryfast"}
        for frame in frames:
            cut = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
        container.mux(stream.encode(None))


def _encoder(path: Path) -> str:
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise InputError(f"video {path} cannot be encoded: install a PyAV with libx264 or libvpx-vp9")
