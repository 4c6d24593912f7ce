"""What is put into a clip: an object of another clip, or something that passes before it.

Both change the frames and the masks of a clip together, in copies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from finetune.clip_options import AugmentOptions
from mose.masks import VOID, object_ids

IDS = 256


@dataclass(frozen=True)
class TrainingClip:
    """T frames of a video.

    frames    are ``(T, H, W, 3) uint8`` RGB
    labels    are ``(T, H, W) uint8`` object ids; 255 is to be ignored
    weights   are ``(T, 256) float32`` in [0, 1]: how much the mask of each id counts
    """

    frames: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    @classmethod
    def sure(cls, frames: np.ndarray, labels: np.ndarray) -> TrainingClip:
        """A clip whose masks all count fully."""
        return cls(frames, labels, np.ones((len(labels), IDS), np.float32))


MOST_COVERED = 0.7
"""A pasted object that hides more of another one's first mask goes behind it."""
LABELLED = 0.5
"""Share of pasted objects that are objects to follow; the others are there to mislead."""
BEHIND = 0.3
"""Share of pasted objects that pass behind those of the clip."""
CORNERS = 9


def compose_clip(
    clip: TrainingClip,
    draw: Callable[[], TrainingClip],
    options: AugmentOptions,
    rng: np.random.Generator,
) -> TrainingClip:
    """A clip with what the options put into it; ``draw`` makes other clips."""
    if options.paste and rng.random() < options.paste:
        clip = paste_object(clip, draw(), rng)
    if options.occlude and rng.random() < options.occlude:
        clip = occlude_object(clip, draw().frames[0], rng)
    return clip


def paste_object(clip: TrainingClip, other: TrainingClip, rng: np.random.Generator) -> TrainingClip:
    """One object of another clip, moving as it does there, at another place."""
    frames, labels = clip.frames, clip.labels
    ids = object_ids(other.labels[0])
    if not ids:
        return clip
    pasted = ids[int(rng.integers(len(ids)))]
    planes = other.labels == pasted
    height, width = labels.shape[1:]
    down, right = (int(rng.integers(-side // 3, side // 3 + 1)) for side in (height, width))
    planes = np.stack([_moved(plane.astype(np.uint8), down, right) for plane in planes]) > 0
    looks = np.stack([_moved(frame, down, right) for frame in other.frames])
    before = np.bincount(labels[0].ravel(), minlength=256)[1:VOID]
    covered = np.bincount(labels[0][planes[0]], minlength=256)[1:VOID]
    if rng.random() < BEHIND or np.any(covered > MOST_COVERED * before):
        planes &= labels == 0
    free = sorted(set(range(1, VOID)) - set(object_ids(labels.reshape(-1, labels.shape[-1]))))
    new = free[0] if free and rng.random() < LABELLED else 0
    weights = clip.weights.copy()
    if new:
        weights[:, new] = other.weights[:, pasted]
    labels = np.where(planes, np.uint8(new), labels)
    return TrainingClip(_over(frames, looks, planes), labels, weights)


def occlude_object(
    clip: TrainingClip, texture: np.ndarray, rng: np.random.Generator
) -> TrainingClip:
    """A shape with the look of another clip's frame that crosses an object's way.

    The first frame, on which objects are given, stays as it is.
    """
    frames, labels = clip.frames, clip.labels
    length, height, width = labels.shape
    meeting = int(rng.integers(1, length))
    rows, columns = np.nonzero((labels[meeting] > 0) & (labels[meeting] != VOID))
    chosen = int(rng.integers(max(len(rows), 1)))
    met = np.array([columns[chosen], rows[chosen]]) if len(rows) else np.array([width, height]) / 2
    side = min(height, width)
    angle, speed = rng.uniform(0, 2 * np.pi), side * rng.uniform(0.1, 0.3)
    step = speed * np.array([np.cos(angle), np.sin(angle)])
    turns = np.sort(rng.uniform(0, 2 * np.pi, CORNERS))
    radii = side * rng.uniform(0.08, 0.2) * rng.uniform(0.6, 1.2, CORNERS)
    outline = np.stack([radii * np.cos(turns), radii * np.sin(turns)], 1)
    planes = np.zeros(labels.shape, dtype=bool)
    looks = frames.copy()
    for index in range(1, length):
        offset = step * (index - meeting)
        plane = np.zeros((height, width), np.uint8)
        cv2.fillPoly(plane, [np.rint(outline + met + offset).astype(np.int32)], 1)
        planes[index] = plane > 0
        right, down = np.rint(offset).astype(int)
        looks[index] = np.roll(texture, (down, right), (0, 1))
    labels = np.where(planes, np.uint8(0), labels)
    return replace(clip, frames=_over(frames, looks, planes), labels=labels)


def _over(frames: np.ndarray, looks: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """``looks`` where ``planes`` are, with an edge a pixel soft, as cameras make it."""
    alphas = np.stack([cv2.GaussianBlur(plane.astype(np.float32), (3, 3), 0) for plane in planes])
    alphas = alphas[..., None]
    return np.rint(looks * alphas + frames * (1 - alphas)).astype(np.uint8)


def _moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """An image moved by whole pixels, 0 where it came from."""
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_NEAREST)
