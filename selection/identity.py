"""Finds objects that take each other's place: within a candidate's masks, and between
candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selection.evidence import Evidence

ROWS = 180
"""About this many rows of a frame are looked at: places matter here, not outlines."""
MOST = 0.5
"""Share of a mask that must lie on another object."""
REST = 0.1
"""Share of a mask that may still lie where the object was a frame before."""
SMALL = 8
"""A mask with fewer of the sampled pixels than this has no place."""


class IdentityWatch:
    """Fills ``exchanged`` and ``mistaken`` of one video's evidence, frame by frame, in order."""

    def __init__(self, evidence: Evidence):
        self._evidence = evidence
        self._before: list[np.ndarray] = []

    def add(self, index: int, scored: Sequence[int], masks: Sequence[np.ndarray]) -> None:
        """Take up frame ``index``: ``(H, W) uint8`` ids of every candidate, the fused ones last.

        ``scored`` are the objects given on earlier frames.
        """
        if len(self._evidence.object_ids) < 2:
            return
        now = [thin(ids) for ids in masks]
        if len(scored) > 1:
            columns = [self._evidence.object_ids.index(object_id) for object_id in scored]
            for row, ids in enumerate(now):
                fused = shared(ids, now[-1], scored)
                self._evidence["mistaken"][index, row, columns] = place_of(fused, scored, 1.0)
                if self._before:
                    moved = shared(ids, self._before[row], scored)
                    self._evidence["exchanged"][index, row, columns] = place_of(moved, scored, REST)
        self._before = now


def thin(ids: np.ndarray) -> np.ndarray:
    """Every n-th pixel, so that about `ROWS` rows are left."""
    step = max(round(ids.shape[0] / ROWS), 1)
    return np.ascontiguousarray(ids[::step, ::step])


def shared(ids: np.ndarray, other: np.ndarray, object_ids: Sequence[int]) -> np.ndarray:
    """``(N, N + 1) int``: pixels of each object of ``ids`` by what ``other`` has there.

    ids, other   ``(h, w) uint8``
    object_ids   N ids; the last column is everything else
    """
    count = len(object_ids)
    position = np.full(256, count, np.intp)
    position[list(object_ids)] = np.arange(count)
    inside = ids > 0
    a, b = position[ids[inside]], position[other[inside]]
    counts = np.bincount(a * (count + 1) + b, minlength=(count + 1) ** 2)
    return counts.reshape(count + 1, count + 1)[:count]


def place_of(counts: np.ndarray, object_ids: Sequence[int], rest: float) -> np.ndarray:
    """``(N,) float32``: the id of the other object in whose place an object is; 0: none.

    counts   as `shared` gives them
    rest     share of the object that may lie in its own place
    """
    count = len(object_ids)
    area = counts.sum(axis=1)
    own = np.diagonal(counts)
    others = counts[:, :count] * ~np.eye(count, dtype=bool)
    largest = others.max(axis=1)
    taken = (largest >= MOST * area) & (largest > own) & (own <= rest * area) & (area >= SMALL)
    return np.where(taken, np.asarray(object_ids)[others.argmax(axis=1)], 0).astype(np.float32)
