"""The masks of one video as another form has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stseg.errors import InputError

Planes = Mapping[int, np.ndarray]
"""Object id -> ``(H, W) bool``."""


@dataclass(frozen=True)
class ImportedVideo:
    """The masks of one video in another form.

    name     of the video
    stems    names of its frames, in order
    size     (height, width)
    planes   gives the objects of a frame by its index
    """

    name: str
    stems: Sequence[str]
    size: tuple[int, int]
    planes: Callable[[int], Planes]

    def ids(self, index: int) -> np.ndarray:
        """``(H, W) uint8`` ids of a frame; of overlapping objects the smaller one is in front."""
        ids = np.zeros(self.size, np.uint8)
        planes = self.planes(index)
        for object_id in sorted(planes, key=lambda i: int(planes[i].sum()), reverse=True):
            if not 0 < object_id < 255:
                raise InputError(
                    f"video {self.name} has an object {object_id}: ids go from 1 to 254, renumber"
                    " the objects"
                )
            ids[planes[object_id]] = object_id
        return ids
