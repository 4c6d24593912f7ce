"""The scores of a video, gathered frame by frame and concluded as a protocol does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from selection.metrics.frames import NOWHERE, FrameScore
from selection.metrics.protocols import ObjectScores, protocol_named
from selection.metrics.regions import Regions


def object_score(
    prediction: Regions, truth: Regions, object_id: int, protocol: str = "davis"
) -> FrameScore:
    """The score of one object on one frame; both masks have the same size."""
    if object_id not in prediction.areas and object_id not in truth.areas:
        return NOWHERE
    return protocol_named(protocol).frame(prediction, truth, object_id)


def conclude(series: Sequence[FrameScore], protocol: str) -> ObjectScores | None:
    """The scores of one object from those of its frames, or None if it does not count."""
    return protocol_named(protocol).conclude(series)


class VideoScorer:
    """The scores of one video, fed frame by frame; keeps numbers, not masks.

    protocol   one of `PROTOCOLS`
    objects    ids that count even if no fed frame has them (they were in the first mask)

    Feed the frames that count, in order: first and last frame are the caller's to leave out.
    """

    def __init__(self, protocol: str = "davis", objects: Iterable[int] = ()):
        self.protocol = protocol_named(protocol).name
        self.frames = 0
        self._series: dict[int, list[FrameScore]] = {int(i): [] for i in objects}
        self._true = set(self._series)

    def add(self, prediction: Regions | np.ndarray, truth: Regions | np.ndarray) -> None:
        """Score one frame. Id masks ``(H, W) uint8`` of one size, or their `Regions`."""
        prediction = prediction if isinstance(prediction, Regions) else Regions(prediction)
        truth = truth if isinstance(truth, Regions) else Regions(truth)
        if prediction.shape != truth.shape:
            raise ValueError(f"masks of {prediction.shape} and {truth.shape} cannot be compared")
        self._true.update(truth.areas)
        for object_id in {*prediction.areas, *truth.areas} - self._series.keys():
            self._series[object_id] = [NOWHERE] * self.frames
        for object_id, series in self._series.items():
            series.append(object_score(prediction, truth, object_id, self.protocol))
        self.frames += 1

    @property
    def predicted(self) -> set[int]:
        """The ids that any prediction had."""
        return {i for i, series in self._series.items() if any(f.in_prediction for f in series)}

    def series(self) -> dict[int, list[FrameScore]]:
        """The frame scores of every object of the true masks, ascending by id."""
        return {i: self._series[i] for i in sorted(self._true)}

    def scores(self) -> dict[int, ObjectScores | None]:
        """The protocol's scores of every object; None for one that it does not count."""
        return {i: conclude(series, self.protocol) for i, series in self.series().items()}
