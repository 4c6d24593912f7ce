"""The report's pictures of one video, made while the members' predictions are open."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from adapters.expansion import Expansion
from ensemble.fusion.frame import FusionOptions, fuse_frame
from ensemble.fusion.frame_loop import MemberFrames
from ensemble.storage.predictions import StoredFrame
from ensemble.storage.run_directory import RunDirectory
from mose import InputError, Video
from selection.report.stills import StillsWriter, shrink
from stseg.files import appearing

COMPARED = {"box average": "boxes", "max fusion": "max"}
"""Fusions shown beside the pseudo-label: layer name -> rule."""


@contextmanager
def making_stills(
    wanted: bool,
    run: RunDirectory,
    video: Video,
    candidates: Sequence[str],
    labelled: bool,
    may_write: Callable[[], None],
) -> Iterator[StillsWriter | None]:
    """A writer whose stills appear when the block ends without an exception.

    None if no report is wanted; then the pictures of an earlier run of the video are removed,
    because they show other masks.
    """
    folder = run.stills(video.name)
    if not wanted:
        shutil.rmtree(folder, ignore_errors=True)
        yield None
        return
    with appearing(folder, may_write) as partial:
        writer = StillsWriter(partial, len(video), video.height, video.width, candidates, labelled)
        yield writer
        writer.close()


def add_still(
    stills: StillsWriter, frame: MemberFrames, ids: np.ndarray, truth: np.ndarray | None
) -> None:
    """Add a frame: every candidate, and beside the pseudo-label two plain fusions.

    ids     ``(H, W) uint8`` pseudo-label
    truth   ``(H, W) uint8`` labels, if there are any

    The box average and the maximum (STSeg's comparison figure) are made at the stills' size.
    """
    video, index = frame.members.video, frame.index
    small = [at_size(stored, stills.size) for stored in frame.frames]
    masks = [stored.ids for stored in small]
    layers = dict(zip(stills.candidates, [*masks, shrink(ids, stills.size)], strict=True))
    for name, rule in COMPARED.items():
        # Boxes are of the hard masks: soft ones would be expanded for nothing.
        seen = [hard(stored) for stored in small] if rule == "boxes" else small
        options = FusionOptions(rule=rule)
        fused = fuse_frame(seen, frame.members.priors, frame.known, stills.size, options)
        layers[name] = fused.ids
    stills.add(frame.name, picture(video, index, stills.size), layers, truth)


def picture(video: Video, index: int, size: tuple[int, int]) -> np.ndarray:
    """``(h, w, 3) uint8`` frame for the report; black where it cannot be read any more."""
    try:
        return video.small(index, *size)
    except InputError:
        return np.zeros((*size, 3), np.uint8)


def at_size(frame: StoredFrame, size: tuple[int, int]) -> StoredFrame:
    """A frame whose masks are wanted at (height, width) ``size`` only.

    The network's working size shrinks with it, so that soft masks are not enlarged only to be
    reduced again.
    """
    ids = shrink(frame.ids, size)
    rule, padded, window = frame.expansion.rule, frame.expansion.padded, frame.expansion.window
    if rule == "labels":
        return hard(dataclasses.replace(frame, ids=ids))
    # Probabilities are stored at the padded size, which does not shrink without them.
    if padded is not None and rule != "probability":
        top, left, height, width = window or (0, 0, *padded)
        down, across = size[0] / height, size[1] / width
        window = (round(top * down), round(left * across), *size)
        padded = (
            max(round(padded[0] * down), window[0] + size[0]),
            max(round(padded[1] * across), window[1] + size[1]),
        )
    return dataclasses.replace(frame, ids=ids, expansion=Expansion(rule, padded, window))


def hard(frame: StoredFrame) -> StoredFrame:
    """The frame as ids alone."""
    return dataclasses.replace(frame, native=frame.ids, expansion=Expansion("labels"))
