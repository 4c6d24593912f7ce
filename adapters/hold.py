"""Repeats the latest given masks: a method that does not beat this has tracked nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from mose import Video


class HoldSegmenter(Segmenter):
    """The latest given mask of each object on every later frame, unmoved."""

    name = "hold"
    summary = "repeats the given masks"
    needs_weights = False

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        video.check_prompts()
        held = np.zeros((video.height, video.width), dtype=np.uint8)
        ids: tuple[int, ...] = ()
        gone: set[int] = set()
        for index in range(len(video)):
            given = video.given(index)
            if given is not None:
                held = given.painted(held)
                ids = (*ids, *given.new)
                gone = (gone - {*given.corrected}) | {*given.gone}
            sure = np.full(len(ids), 0.5, dtype=np.float32)
            there = np.array([i not in gone for i in ids], dtype=np.float32)
            yield FrameMasks(index, ids, there, sure, held, Expansion("labels"))
