"""A model without weights that forgets its objects, for tests of what corrects it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from adapters import registry
from adapters.base import FrameMasks
from adapters.flow import FlowOptions, FlowSegmenter
from mose import Video
from stseg.config import option


@dataclasses.dataclass(frozen=True)
class ForgetfulOptions(FlowOptions):
    """Options of `ForgetfulSegmenter`."""

    patience: int = option(4, doc="Frames after a given mask on which objects are still known.")


class ForgetfulSegmenter(FlowSegmenter):
    """Optical flow that sees nothing any more some frames after the latest given mask."""

    name = "forgetful"
    Options = ForgetfulOptions

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        known = 0
        for frame in super().segment(video):
            given = video.given(frame.index)
            known = self.options.patience if given is not None else known - 1
            if known >= 0:
                yield frame
            else:
                nothing = np.zeros_like(frame.presence)
                blank = np.zeros_like(frame.native)
                yield dataclasses.replace(frame, presence=nothing, native=blank)


def register() -> None:
    """Make it known by its name, in this process."""
    registry.BUILT_IN["forgetful"] = "forgetful:ForgetfulSegmenter"
