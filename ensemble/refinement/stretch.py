"""A member runs again over a part of a video: back from a mask, or on from a corrected one.

Masks of a whole stretch are never in memory: what the member says anew is written as a prediction
of its own, beside the one that it may replace.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from ensemble.storage.predictions import Prediction, PredictionWriter
from mose import Video
from selection.metrics import Regions, iou
from selection.refined import Claim, Dispute

MEETS = 0.9
"""IoU from which the member's new answer is its old one."""
MEETING = 3
"""Frames in a row on which it has to be, before the rest is left as it was."""


@dataclass(frozen=True)
class Stretch:
    """What a member says anew of one object.

    object_id   is the object
    frames      are those that were run, in the order in which they are stored
    folder      holds them as a prediction
    cost        is the number of frames that the model looked at, those for memory included
    """

    object_id: int
    frames: tuple[int, ...]
    folder: Path
    cost: int


def mask_of(claim: Claim, dispute: Dispute, predictions: Mapping[str, Prediction]) -> np.ndarray:
    """``(H, W) bool``: the object as most of a claim' members have it; nowhere, if they do
    not see it. Of two members the first has its way."""
    if not claim.seen:
        return np.zeros(predictions[claim.members[0]].size, bool)
    masks = [
        labels(predictions[name], dispute.frame) == dispute.object_id for name in claim.members
    ]
    votes = np.sum(masks, axis=0, dtype=int)
    return (2 * votes > len(masks)) | ((2 * votes == len(masks)) & masks[0])


def labels(prediction: Prediction, index: int) -> np.ndarray:
    """``(H, W) uint8`` ids of a stored frame."""
    return prediction[index].labels(*prediction.size)


def with_mask(ids: np.ndarray, object_id: int, mask: np.ndarray) -> np.ndarray:
    """``(H, W) uint8`` ids with one object where ``mask`` has it and nowhere else."""
    rest = np.where(ids == object_id, 0, ids)
    return np.where(mask, object_id, rest).astype(np.uint8)


def lead_back(
    segmenter: Segmenter,
    video: Video,
    dispute: Dispute,
    predictions: Mapping[str, Prediction],
    reference: str,
) -> Dispute:
    """A dispute whose claims were followed back, one after the other, by one model.

    reference   the member whose mask on the last sure frame they should arrive at
    """
    given = video.given(dispute.sure)
    ids = labels(predictions[reference], dispute.sure) if given is None else given.mask
    goal = Regions(with_mask(np.zeros_like(ids), dispute.object_id, ids == dispute.object_id))
    met: list[tuple[float | None, float]] = []
    for claim in dispute.claims:
        mask = mask_of(claim, dispute, predictions)
        shown = with_mask(np.zeros_like(ids), dispute.object_id, mask)
        standing = round(iou(Regions(shown), goal, dispute.object_id), 6)
        if not mask.any():
            met.append((None, standing))
            continue
        back = video.excerpt({dispute.frame: shown}, dispute.frame - 1, dispute.sure - 1)
        back = back.with_corrections({})  # what is given there must not be told
        *_, last = segmenter.segment(back)
        back_there = iou(Regions(last.labels(*ids.shape)), goal, dispute.object_id)
        met.append((round(back_there, 6), standing))
    return dispute.led_back(met)


def run_on(
    segmenter: Segmenter,
    video: Video,
    prediction: Prediction,
    dispute: Dispute,
    mask: np.ndarray,
    folder: Path,
) -> Stretch:
    """Run a member again from a corrected mask to the end, and backwards to the last sure frame; in
    both directions no further than to where it meets its old answer.

    mask     ``(H, W) bool``, the object on the dispute's frame
    folder   where the new masks are written as a prediction

    Besides the corrected mask the member is shown what was given, and its own masks of the
    other objects on the frame of the correction.
    """
    frames: list[int] = []
    cost = 0
    with PredictionWriter(folder, video.height, video.width) as writer:
        for excerpt, shown in excerpts(video, prediction, dispute, mask):
            together = 0
            for frame in segmenter.segment(excerpt):
                cost += 1
                index = excerpt.indices[frame.index]
                if frame.index < shown:
                    continue
                writer.add(dataclasses.replace(frame, index=len(frames)))
                frames.append(index)
                met = meets(frame, prediction, index, dispute.object_id)
                together = together + 1 if met else 0
                if together == MEETING and not dispute.start <= index <= dispute.frame:
                    break
        writer.commit({})
    return Stretch(dispute.object_id, tuple(frames), folder, cost)


def excerpts(
    video: Video, prediction: Prediction, dispute: Dispute, mask: np.ndarray
) -> Iterator[tuple[Video, int]]:
    """What a member is to run over, and how many of the first frames are there for memory only.

    The frame of the correction belongs to the part that goes on from it. There is no way back
    from an object that is said to be gone.
    """
    at = dispute.frame
    here = with_mask(labels(prediction, at), dispute.object_id, mask)
    memory = {**first_masks(video, at), at: here}
    place = len(memory) - 1
    last = at + 1 == len(video)
    if not last:
        excerpt = video.excerpt(memory, at + 1, len(video))
        yield (excerpt if mask.any() else without(excerpt, (dispute.object_id,), place)), place
    if mask.any():
        yield video.excerpt({at: here}, at - 1, dispute.sure), int(not last)


def first_masks(video: Video, before: int) -> dict[int, np.ndarray]:
    """The given masks of earlier frames: the memory that every excerpt begins with."""
    indices = sorted(i for i in {*video.prompts, *video.corrections} if i < before)
    given = {index: video.given(index) for index in indices}
    return {index: masks.mask for index, masks in given.items() if masks is not None}


def without(excerpt: Video, ids: Sequence[int], place: int) -> Video:
    """An excerpt in which objects are said to be gone from one of its frames on."""
    corrections = excerpt.corrections
    masks = {at: mask for at in corrections if (mask := corrections[at].mask) is not None}
    return excerpt.with_corrections(masks, {place: ids})


def meets(frame: FrameMasks, prediction: Prediction, index: int, object_id: int) -> bool:
    """Whether a new frame has the object where the member had it before."""
    new = Regions(frame.labels(*prediction.size))
    return iou(new, Regions(labels(prediction, index)), object_id) >= MEETS


def stitched(prediction: Prediction, stretches: Sequence[Stretch]) -> Iterator[FrameMasks]:
    """A prediction, frame by frame, with the objects of the stretches as these have them; of two
    stretches over one object and frame the first counts."""
    opened = [Prediction(stretch.folder) for stretch in stretches]
    places: dict[tuple[int, int], tuple[Prediction, int]] = {}
    for stretch, new in zip(stretches, opened, strict=True):
        for place, index in enumerate(stretch.frames):
            places.setdefault((index, stretch.object_id), (new, place))
    for index in range(len(prediction)):
        frame: FrameMasks = prediction[index]
        for object_id in frame.object_ids:
            if (index, object_id) in places:
                new, place = places[index, object_id]
                frame = with_object(frame, new[place], object_id, prediction.size)
        yield frame
    for new in opened:
        new.close()


def with_object(
    old: FrameMasks, new: FrameMasks, object_id: int, size: tuple[int, int]
) -> FrameMasks:
    """``old`` with one object as ``new`` has it; the others keep what it does not claim.

    Where the two have soft masks of one form, the object's plane is exchanged and both stay soft;
    otherwise the frame has ids only.
    """
    if object_id not in new.object_ids:
        return old
    mine, theirs = old.object_ids.index(object_id), new.object_ids.index(object_id)
    presence, confidence = old.presence.copy(), old.confidence.copy()
    presence[mine], confidence[mine] = new.presence[theirs], new.confidence[theirs]
    soft = old.expansion.rule != "labels" and old.expansion == new.expansion
    if soft and old.native.shape[1:] == new.native.shape[1:]:
        native = old.native.copy()
        native[mine] = new.native[theirs]
        return FrameMasks(old.index, old.object_ids, presence, confidence, native, old.expansion)
    ids = with_mask(old.labels(*size), object_id, new.labels(*size) == object_id)
    return FrameMasks(old.index, old.object_ids, presence, confidence, ids, Expansion("labels"))
