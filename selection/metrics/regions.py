"""Id masks and the properties of their objects, each computed once.

An id mask is ``(height, width) uint8``: 0 is background, 1..254 are object ids, 255 is void
and no object. `Regions` prepares one once, so that one mask (a pseudo-label) can be compared
with many (the members' masks).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from mose.masks import VOID
from selection.metrics.bits import BitPlane, runs
from selection.metrics.boundary import Boundary

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; bottom and right are exclusive."""


class Regions:
    """An id mask and the properties of its objects, each computed once.

    ``areas`` maps the ids that are present to their pixel counts, ascending by id.

    A mask may be given by a part that holds all that is not 0 in it and reaches one pixel further
    at the top and on the left, within the frame: ``at`` is the row and column of its corner, the
    column a multiple of 64, and ``size`` the (height, width) of the frame.
    """

    def __init__(
        self,
        ids: np.ndarray,
        at: tuple[int, int] = (0, 0),
        size: tuple[int, int] | None = None,
    ):
        if ids.ndim != 2 or ids.dtype != np.uint8:
            raise ValueError(f"an id mask is (height, width) uint8, not {ids.dtype} {ids.shape}")
        self.ids = np.ascontiguousarray(ids)
        self._at = at
        self._size = size or (ids.shape[0], ids.shape[1])
        self._planes: dict[int, BitPlane] = {}
        self._boundaries: dict[int, Boundary] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame."""
        return self._size

    @cached_property
    def values(self) -> list[int]:
        """The pixel values of the mask, ascending, 0 and `VOID` as well."""
        values, _, lengths = self._runs
        shown = np.flatnonzero(np.bincount(values)).tolist()
        return [0, *shown] if lengths.sum() < self.shape[0] * self.shape[1] else shown

    @cached_property
    def _runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # masks have few runs, so areas and boxes are cheaper from runs than from pixels
        return runs(self.ids)

    @cached_property
    def areas(self) -> dict[int, int]:
        values, _, lengths = self._runs
        counts = np.bincount(values, weights=lengths)
        return {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i != VOID}

    @cached_property
    def boxes(self) -> dict[int, Box]:
        """The smallest box around every object that is present."""
        values, starts, lengths = self._runs
        rows, columns = np.divmod(starts, self.ids.shape[1])
        rows, columns = rows + self._at[0], columns + self._at[1]
        corners = {}
        for object_id in self.areas:
            mine = np.flatnonzero(values == object_id)
            left = columns[mine]
            right = left + lengths[mine]
            top, bottom = rows[mine[0]], rows[mine[-1]] + 1
            corners[object_id] = (int(top), int(left.min()), int(bottom), int(right.max()))
        return corners

    def plane(self, object_id: int) -> BitPlane:
        """The pixels of an object, which may be absent, or of `VOID`."""
        if object_id == VOID and VOID not in self._planes:
            self._planes[VOID] = BitPlane.pack(self.ids == VOID, self._at[0], self._at[1] // 64)
        if object_id not in self._planes:
            top, left, bottom, right = self.boxes.get(object_id, (0, 0, 0, 0))
            top, first, last = max(top - 1, 0), max(left - 1, 0) // 64, -(-right // 64)
            row, column = self._at
            crop = self.ids[top - row : bottom - row, first * 64 - column : last * 64 - column]
            self._planes[object_id] = BitPlane.pack(crop == object_id, top, first)
        return self._planes[object_id]

    def boundary(self, object_id: int) -> Boundary:
        """The boundary of an object, which may be absent."""
        if object_id not in self._boundaries:
            self._boundaries[object_id] = Boundary(self.plane(object_id), *self.shape)
        return self._boundaries[object_id]


class OneObject(Regions):
    """The mask of object 1, where nothing else is, by the part of the frame that holds it.

    mask   ``(h, w) bool``
    at     row and column of its corner
    size   (height, width) of the frame
    """

    def __init__(self, mask: np.ndarray, at: tuple[int, int], size: tuple[int, int]):
        rows, columns = np.asarray(mask.any(axis=1)), np.asarray(mask.any(axis=0))
        if not (rows[0] and rows[-1] and columns[0] and columns[-1]) and rows.any():
            inside = (np.flatnonzero(side)[[0, -1]] for side in (rows, columns))
            (top, bottom), (left, right) = inside
            mask = mask[top : bottom + 1, left : right + 1]
            at = at[0] + int(top), at[1] + int(left)
        self._mask, self._corner = mask, at
        self._size = size
        self._planes = {}
        self._boundaries = {}

    @cached_property
    def ids(self) -> np.ndarray:  # type: ignore[override]
        (top, left), (height, width) = self._corner, self._mask.shape
        ids = np.zeros(self._size, np.uint8)
        ids[top : top + height, left : left + width] = self._mask
        return ids

    @cached_property
    def areas(self) -> dict[int, int]:
        count = int(np.count_nonzero(self._mask))
        return {1: count} if count else {}

    @cached_property
    def boxes(self) -> dict[int, Box]:
        (top, left), (height, width) = self._corner, self._mask.shape
        return {1: (top, left, top + height, left + width)} if self.areas else {}

    @cached_property
    def values(self) -> list[int]:
        return [0, 1] if self.areas else [0]

    def plane(self, object_id: int) -> BitPlane:
        """The pixels of the object; none of any other, nor of `VOID`."""
        if object_id not in self._planes:
            (top, left), (height, width) = self._corner, self._mask.shape
            first = max(left - 1, 0) // 64
            above = int(top > 0)
            crop = np.zeros((height + above, left - 64 * first + width), dtype=bool)
            if object_id == 1:
                crop[above:, left - 64 * first :] = self._mask
            self._planes[object_id] = BitPlane.pack(crop, top - above, first)
        return self._planes[object_id]


class OverlappingRegions(Regions):
    """Masks of objects that may overlap, with the same properties.

    masks   object id -> id mask that holds this object alone
    size    (height, width), which tells for a frame without objects

    ``ids`` shows the smaller object where two overlap.
    """

    def __init__(self, masks: Mapping[int, Regions], size: tuple[int, int]):
        self._masks = masks
        areas = {i: masks[i].areas.get(i, 0) for i in sorted(masks)}
        ids = np.zeros(size, np.uint8)
        for object_id in sorted(areas, key=areas.__getitem__, reverse=True):
            ids[masks[object_id].ids == object_id] = object_id
        super().__init__(ids)

    @cached_property
    def areas(self) -> dict[int, int]:
        areas = {i: self._masks[i].areas.get(i, 0) for i in sorted(self._masks)}
        return {i: area for i, area in areas.items() if area}

    @cached_property
    def boxes(self) -> dict[int, Box]:
        return {i: self._masks[i].boxes[i] for i in self.areas}

    def plane(self, object_id: int) -> BitPlane:
        """The pixels of an object, hidden ones too."""
        if object_id in self._masks:
            return self._masks[object_id].plane(object_id)
        return super().plane(object_id)


def jaccard(intersection: int, union: int) -> float:
    """Intersection over union, 1 where both masks are empty."""
    return intersection / union if union else 1.0


def iou(one: Regions, other: Regions, object_id: int) -> float:
    """J of one object in two masks of the same size."""
    a, b = one.areas.get(object_id, 0), other.areas.get(object_id, 0)
    shared = one.plane(object_id).common(other.plane(object_id)) if a and b else 0
    return jaccard(shared, a + b - shared)
