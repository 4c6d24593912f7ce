"""Appearance: whether a mask covers what looks like the object, and nothing that does not.

It is a witness that no majority of members can sway. A frame is cut into cells. A cell is described
by the mean and the spread of its colours and by the directions of its edges, of its own and over
its neighbours. Its distances to the nearest cells of the object as it was given, and to those of
everything else on that frame, give the odds that it belongs to the object; they are those of two
densities estimated by nearest neighbours. How far a mask overlaps these probabilities is its
likeness.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from mose import InputError, Video
from stseg.threads import one_thread

SAMPLES = 12
"""Frames of a video on which masks are looked at."""

SIDE, CELL = 240, 8
"""Shorter side of a frame, and the side of a cell on it, in pixels."""

ORIENTATIONS = 6
"""Directions of edges that are told apart."""

NEIGHBOURS = 3
"""Cells whose mean distance counts."""

DIMENSIONS = 8.0
"""Power of the ratio of distances: the dimensions in which cells of an object differ."""

BLOCK = 256
"""Cells that are compared at a time: their distances fit the processor's cache."""

INSIDE, OUTSIDE = 0.6, 0.1
"""A cell belongs to the object from this share of its pixels on, and to the rest below that."""

FAINT = 0.02
"""Share of the best likeness that every mask has at least."""


class Looks:
    """Compares masks with the objects of a video as they were given, on sampled frames.

    sampled   indices of the frames
    """

    def __init__(self, video: Video):
        self.video = video
        last = len(video) - 1
        self.sampled = frozenset(np.linspace(0, last, SAMPLES).round().astype(int).tolist())

    def likeness(self, index: int, ids: np.ndarray, object_id: int) -> float:
        """Overlap, in [0, 1], of a mask of the object with what looks like it.

        ids   ``(H, W) uint8``, of the frame ``index``

        NaN on frames that are not sampled, up to the one on which the object is given, and where a
        frame cannot be read.
        """
        alike = self._maps.get((index, object_id))
        if alike is None:
            return np.nan
        covered = cover(ids, object_id, alike.shape)
        return float(np.minimum(alike, covered).sum() / np.maximum(alike, covered).sum())

    @cached_property
    def _maps(self) -> dict[tuple[int, int], np.ndarray]:
        """(frame, object id) -> ``(h, w) float32``, the probability of each cell."""
        maps: dict[tuple[int, int], np.ndarray] = {}
        given: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for index in sorted(self.sampled | set(self.video.prompts)):
            try:
                cells = describe(self.video[index])
            except InputError:
                continue
            if index in self.sampled:
                for object_id, (inside, outside) in given.items():
                    maps[index, object_id] = resemblance(cells, inside, outside)
            if index in self.video.prompts:
                mask = self.video.prompts[index]
                for object_id in self.video.prompts.ids(index):
                    inside, outside = divide(cells, cover(mask, object_id, cells.shape[:2]))
                    if len(outside):
                        given[object_id] = inside, outside
        return maps


def describe(image: np.ndarray) -> np.ndarray:
    """``(h, w, C) float32`` cells of an ``(H, W, 3) uint8`` RGB image."""
    scale = SIDE / min(image.shape[:2])
    rows, columns = (max(2, round(side * scale / CELL)) for side in image.shape[:2])
    size = columns * CELL, rows * CELL
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / 255

    def pool(planes: np.ndarray) -> np.ndarray:
        # Pixel by pixel of all cells at a time: several times as fast as a mean over two axes.
        pixels = planes.reshape(rows, CELL, columns, CELL, -1).transpose(1, 3, 0, 2, 4)
        return pixels.reshape(CELL * CELL, rows, columns, -1).mean(axis=0)

    mean = pool(colours)
    spread = np.sqrt(np.maximum(pool(colours**2) - mean**2, 0))
    light = np.ascontiguousarray(colours[..., 0])
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    direction = (np.arctan2(down, across) % np.pi) * (ORIENTATIONS / np.pi)
    edges = np.hypot(across, down)[..., None] * (
        direction[..., None].astype(np.uint8) == np.arange(ORIENTATIONS)
    )
    own = np.concatenate([mean, spread, pool(edges) / 2], axis=-1).astype(np.float32)
    return np.concatenate([own, cv2.blur(own, (3, 3))], axis=-1)


def cover(ids: np.ndarray, object_id: int, shape: tuple[int, ...]) -> np.ndarray:
    """``(h, w) float32`` share of each cell that an object has in ``(H, W) uint8`` ids."""
    fine = cv2.resize(ids, (4 * shape[1], 4 * shape[0]), interpolation=cv2.INTER_NEAREST)
    inside = (fine == object_id).astype(np.float32)
    return cv2.resize(inside, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def divide(cells: np.ndarray, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells of an object, at least a few, and those of everything else: ``(K, C)`` each."""
    flat, share = cells.reshape(-1, cells.shape[-1]), covered.reshape(-1)
    inside = share >= INSIDE
    if inside.sum() < NEIGHBOURS:
        inside[np.argsort(-share, kind="stable")[:NEIGHBOURS]] = True
    return flat[inside], flat[~inside & (share < OUTSIDE)]


def resemblance(cells: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """``(h, w) float32`` probability in [0, 1] that each cell belongs to an object."""
    flat = cells.reshape(-1, cells.shape[-1])
    with one_thread():
        ratio = np.log(nearest(flat, inside) + 1e-4) - np.log(nearest(flat, outside) + 1e-4)
    odds = np.exp(-DIMENSIONS * ratio.clip(-3, 3))
    return (odds / (1 + odds)).reshape(cells.shape[:2]).astype(np.float32)


def nearest(cells: np.ndarray, others: np.ndarray) -> np.ndarray:
    """``(P,)`` mean distance of ``(P, C)`` cells to their nearest ones of ``(K, C)``."""
    own, theirs = (cells**2).sum(axis=1)[:, None], (others**2).sum(axis=1)
    near = np.empty((len(cells), min(NEIGHBOURS, len(others))), np.float32)
    for start in range(0, len(cells), BLOCK):
        block = slice(start, start + BLOCK)
        squares = own[block] + theirs - 2 * cells[block] @ others.T
        every = np.arange(len(squares))
        # A few searches for the smallest take a fifth of the time of a partition.
        for rank in range(near.shape[1]):
            at = squares.argmin(axis=1)
            near[block, rank] = squares[every, at]
            squares[every, at] = np.inf
    return np.sqrt(np.maximum(near, 0)).mean(axis=1)


def looks_of(likeness: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """``(M,)`` logarithms, at most 0, of the likeness of members' masks to the best one's.

    likeness   ``(K, M)`` in [0, 1] of K masks of each; NaN where it is not known
    seen       ``(K, M) bool``: the mask has a pixel; those that are empty do not count, as who is
               right about that is told by presence

    A member without any mask has the lowest share of the others.
    """
    counts = seen & ~np.isnan(likeness)
    own = np.where(counts, likeness, 0.0)
    best = (counts * own.max(axis=1, keepdims=True)).sum(axis=0)
    share = own.sum(axis=0) / np.where(best > 0, best, np.inf)
    known = best > 0
    share = np.where(known, np.maximum(share, FAINT), share[known].min() if known.any() else 1.0)
    looks: np.ndarray = np.log(np.maximum(share, FAINT))
    return looks - looks.max()
