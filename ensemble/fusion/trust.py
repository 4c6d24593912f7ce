"""How far a member is believed about an object, judged by the given mask, the one label that every
video has.

One frame after an object was given, it is still nearly where it was. If a member's mask does not
overlap the given one there, while another member's does, the member has lost the object at once.
From then on its weight for this object is small, whatever its prior and confidence say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mose import Video
from selection.metrics import Regions, iou

MET = 0.3
"""IoU of the best member with the given mask, one frame later. If it is lower, nothing is
concluded."""

FAR_BELOW = 0.5
"""A member with less than this share of the best member's IoU has lost the object."""

LITTLE = 0.02
"""The factor on the weight of such a member."""


class Trust:
    """Takes every frame of a video in order, and judges the members once per object."""

    def __init__(self, video: Video, members: int):
        self._video, self._members = video, members
        self._of: dict[int, np.ndarray] = {}

    def update(self, index: int, masks: Sequence[Regions]) -> None:
        """Take up a frame; on the one after a given mask the members are judged by theirs."""
        before = index - 1
        if before not in self._video.prompts:
            return
        given = Regions(self._video.prompts[before])
        for object_id in self._video.prompts.ids(before):
            self._of[object_id] = judge([iou(regions, given, object_id) for regions in masks])

    def table(self, object_ids: Sequence[int]) -> np.ndarray:
        """``(M, N)``; objects that were not judged yet are believed."""
        ones = np.ones(self._members)
        columns = [self._of.get(object_id, ones) for object_id in object_ids]
        return np.stack(columns, axis=1) if columns else np.ones((self._members, 0))


def judge(met: Sequence[float]) -> np.ndarray:
    """``(M,)`` trust from the members' IoU with the given mask one frame later."""
    values = np.asarray(met)
    if values.max() < MET:
        return np.ones(len(values))
    return np.where(values >= FAR_BELOW * values.max(), 1.0, LITTLE)
