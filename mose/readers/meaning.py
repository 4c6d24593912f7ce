"""What 255 means in the masks of a video: one decision for all of them, never file by file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum

import numpy as np

from mose.palette import VOID


class MaskMeaning(Enum):
    """How the values of a video's masks are read.

    OBJECT_IDS   1..254 are objects, 255 is to be ignored (DAVIS 2017, MOSE, VOST)
    ONE_OBJECT   0 and 255 are background and the only object (DAVIS 2016); it gets id 1
    """

    OBJECT_IDS = "object ids; 255 is to be ignored"
    ONE_OBJECT = "0 and 255: one object"

    def ids(self, raw: np.ndarray) -> np.ndarray:
        """``(H, W) uint8`` object ids of a mask's stored values; what is to be ignored keeps
        the value 255."""
        return (raw > 0).astype(np.uint8) if self is MaskMeaning.ONE_OBJECT else raw

    def objects(self, present: Iterable[int]) -> tuple[int, ...]:
        """The object ids behind the values that a mask holds, ascending."""
        if self is MaskMeaning.ONE_OBJECT:
            return (1,) if any(present) else ()
        return tuple(sorted(value for value in present if 0 < value < VOID))


def undecided(present: Collection[int]) -> bool:
    """Whether a mask's values leave open what 255 means in it."""
    return VOID in present and set(present) <= {0, VOID}


def meaning_of(
    masks: Iterable[Collection[int]], ignores: Callable[[], bool] = lambda: False
) -> MaskMeaning:
    """The meaning of the masks of one video, from the values that each of them holds.

    ignores   whether the rest of the data set uses 255 for what is to be ignored; asked only
              where this video's masks hold 0 and 255 alone
    """
    open_question = False
    for present in masks:
        if any(0 < value < VOID for value in present):
            return MaskMeaning.OBJECT_IDS
        open_question = open_question or VOID in present
    if open_question and not ignores():
        return MaskMeaning.ONE_OBJECT
    return MaskMeaning.OBJECT_IDS


def uses_ignore(masks: Iterable[Collection[int]]) -> bool:
    """Whether the masks of one video show that 255 is to be ignored: it is there, and so are
    ids. Any other video of 0 and 255 alone may be one object."""
    ids = void = False
    for present in masks:
        ids = ids or any(0 < value < VOID for value in present)
        void = void or VOID in present
        if ids and void:
            return True
    return False
