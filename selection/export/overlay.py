"""Overlay videos: the selected masks over the frames, as MP4."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mose.masks import PALETTE
from selection.export.movie import write_movie
from selection.export.source import RunMasks, VideoMasks
from selection.run_paths import page_name

ALPHA = 0.5
"""How much of a mask's colour covers the frame."""
_COLOURS = np.frombuffer(PALETTE, np.uint8).reshape(256, 3)


def write_overlays(run: RunMasks, target: Path, frames_per_second: float = 12.0) -> int:
    """Write ``<video>.mp4`` of every video into ``target``; returns the number of frames.

    Raises `InputError` where frames are gone or no encoder is there.
    """
    return sum(
        write_overlay(video, target / f"{page_name(video.name)}.mp4", frames_per_second)
        for video in run.videos
    )


def write_overlay(video: VideoMasks, path: Path, frames_per_second: float) -> int:
    """Write one video; odd sizes lose their last row or column."""
    frames = (blend(frame, ids) for frame, ids in zip(video.frames(), video.masks(), strict=True))
    write_movie(path, frames, video.size, frames_per_second)
    return len(video.stems)


def blend(frame: np.ndarray, ids: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """``(H, W, 3) uint8`` frame with ``(H, W) uint8`` ids over it, edges in full colour."""
    out = frame.copy()
    inside = ids > 0
    out[inside] = np.rint((1 - alpha) * frame[inside] + alpha * _COLOURS[ids[inside]])
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = inside & (cv2.erode(ids, cross) != cv2.dilate(ids, cross))
    out[edge] = _COLOURS[ids[edge]]
    return out
