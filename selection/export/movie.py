"""MP4 files from frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from stseg.errors import InputError


def even(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) without an odd last row or column: encoders want even sizes."""
    return size[0] - size[0] % 2, size[1] - size[1] % 2


def write_movie(
    path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], frames_per_second: float
) -> None:
    """Write ``(H, W, 3) uint8`` RGB frames of (height, width) ``size``, cut to `even`.

    Raises `InputError` where no encoder is there.
    """
    height, width = even(size)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"mp4v"), frames_per_second, (width, height)
    )
    if not writer.isOpened():
        raise InputError(f"video {path} cannot be encoded: install an OpenCV with FFmpeg")
    try:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
    finally:
        writer.release()
