"""Repeats the given masks: a method that does not beat this has tracked nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from mose import Video


class HoldSegmenter(Segmenter):
    """The given mask of each object on every later frame, unmoved."""

    name = "hold"
    summary = "repeats the given masks"
    needs_weights = False

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        video.check_prompts()
        held = np.zeros((video.height, video.width), dtype=np.uint8)
        ids: tuple[int, ...] = ()
        for index in range(len(video)):
            if index in video.prompts:
                given = video.prompts[index]
                held = np.where(given > 0, given, held)
                ids = (*ids, *video.prompts.ids(index))
            sure = np.full(len(ids), 0.5, dtype=np.float32)
            yield FrameMasks(index, ids, np.ones_like(sure), sure, held, Expansion("labels"))
