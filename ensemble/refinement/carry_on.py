"""A member runs over the rest of a video, from a corrected frame on; earlier masks stay.

What a network remembers of the frames in between is not stored, so it begins with what was given,
and with its own masks of the corrected frame. Run over the whole video, it would know more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from ensemble.fusion.frame_loop import with_given
from ensemble.refinement.stretch import first_masks, labels, without
from ensemble.storage.predictions import Prediction
from mose import InputError, Video
from mose.palette import object_ids


def carry_on(
    segmenter: Segmenter, video: Video, earlier: Prediction, since: int
) -> Iterator[FrameMasks]:
    """One item per frame: those of ``earlier`` before ``since``, then what the member says now.

    earlier   the member's prediction of this video with fewer corrections
    since     index of the first frame with a mask that it did not know; not the video's first

    `InputError` where the prediction is of other frames, or nothing is given on ``since``.
    """
    if len(earlier) != len(video) or earlier.size != (video.height, video.width):
        raise InputError(f"{earlier.folder} holds no masks of the frames of video {video.name}")
    if since < 1 or video.given(since) is None:
        raise InputError(f"video {video.name} has no correction on frame {since} to go on from")
    for index in range(since):
        yield earlier[index]
    old = earlier[since]
    here = with_given(labels(earlier, since), video, since)
    if since + 1 == len(video):
        marks = old.object_ids, old.presence, old.confidence
        yield FrameMasks(since, *marks, here, Expansion("labels"))
        return
    memory = {**first_masks(video, since), since: here}
    shown = len(memory) - 1
    excerpt = video.excerpt(memory, since + 1, len(video))
    gone = gone_until(video, since).difference(object_ids(here))
    if gone:
        excerpt = without(excerpt, tuple(sorted(gone)), shown)
    for frame in segmenter.segment(excerpt):
        if frame.index >= shown:
            yield dataclasses.replace(frame, index=excerpt.indices[frame.index])


def gone_until(video: Video, last: int) -> set[int]:
    """The objects of which it was said last, up to a frame, that they are not there."""
    gone: set[int] = set()
    for index in sorted(t for t in video.corrections if t <= last):
        given = video.given(index)
        if given is not None:
            gone = gone.difference(object_ids(given.mask)).union(given.gone)
    return gone
