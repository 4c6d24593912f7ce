"""Objects that may overlap: every one is fused by itself, against the background alone.

A member's map holds its own say on each object before objects are made exclusive. One object's map
by itself, expanded by the model's own rule, is the probability of that object against the
background; fusing these maps object by object is the fusion of videos with one object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.expansion import AGGREGATE_EPS, Expansion, resize, sigmoid
from ensemble.fusion.frame import FusionOptions, Gathered
from ensemble.fusion.frame_loop import MemberFrames, VideoMembers
from ensemble.storage.predictions import StoredFrame
from mose import Video
from selection.metrics import Regions
from selection.metrics.regions import OverlappingRegions
from selection.quality import QualityTrack

Planes = Mapping[int, np.ndarray]
"""Object id -> ``(height, width) bool``."""


@dataclass(frozen=True)
class OverlappingMasks:
    """What is said of one frame when objects may overlap.

    members   are the members' masks
    pseudo    is the pseudo-label, with given masks verbatim
    """

    members: Sequence[OverlappingRegions]
    pseudo: Planes

    def candidates(self, size: tuple[int, int]) -> list[Regions]:
        """The masks of every candidate at ``size`` (height, width), the pseudo-label last."""
        own = {i: Regions(p.astype(np.uint8) * np.uint8(i)) for i, p in self.pseudo.items()}
        return [*self.members, OverlappingRegions(own, size)]


class OverlapFusion:
    """Fuses each object of a video by itself, frame by frame, with a quality track of its own."""

    def __init__(self, members: VideoMembers, options: FusionOptions):
        self._members, self._options = members, options
        self._preview = members.previews.of(range(len(members.names)), members.priors)
        self._tracks: dict[int, QualityTrack] = {}

    def fuse(self, frame: MemberFrames) -> OverlappingMasks:
        """The masks of a frame; frames come in order."""
        video = self._members.video
        size = video.height, video.width
        regions: list[dict[int, Regions]] = [{} for _ in frame.frames]
        pseudo: dict[int, np.ndarray] = {}
        for object_id in frame.known:
            frames = [alone(one, object_id, size) for one in frame.frames]
            masks = [Regions(one.ids) for one in frames]
            for row, mask in zip(regions, masks, strict=True):
                row[object_id] = mask
            priors = self._members.priors
            track = self._tracks.setdefault(object_id, QualityTrack(priors, self._preview))
            scored = (object_id,) if object_id in frame.scored else ()
            gathered = Gathered(frames, masks, priors, (object_id,), track, scored)
            gathered.judge()
            plane = gathered.fuse(self._options).ids == object_id
            pseudo[object_id] = verbatim(plane, video, frame.index, object_id)
        return OverlappingMasks([OverlappingRegions(row, size) for row in regions], pseudo)


def alone(frame: StoredFrame, object_id: int, size: tuple[int, int]) -> StoredFrame:
    """A member's answer on one object, as if it were the only one.

    Its ids are at ``size`` (height, width). Where the model gives ids alone, or probabilities that
    sum to 1 over objects, these decide: what it gave to another object is not this one's.
    """
    here = [n for n, known in enumerate(frame.object_ids) if known == object_id]
    rule = frame.expansion.rule
    if rule == "labels":
        native = np.where(frame.labels(*size) == object_id, object_id, 0).astype(np.uint8)
    elif rule == "probability" and here:
        background = np.clip(1 - frame.native.sum(axis=0), 0, 1)
        native = frame.native[here] / np.maximum(frame.native[here] + background, 1e-6)
    else:
        native = frame.native[here]
    one = dataclasses.replace(
        frame,
        object_ids=tuple(frame.object_ids[n] for n in here),
        presence=frame.presence[here],
        confidence=frame.confidence[here],
        native=native,
        ids=native if rule == "labels" else np.zeros(size, np.uint8),
    )
    if rule != "labels" and here:
        one.ids[own_mask(native, frame.expansion, size)] = object_id
    return one


def own_mask(native: np.ndarray, expansion: Expansion, size: tuple[int, int]) -> np.ndarray:
    """``(H, W) bool``: where the only object of a map ``(1, h, w)`` is likelier than not.

    `adapters.expansion.expand` of one object, in closed form: aggregated with a background that is
    whatever is missing to 1, a logit x becomes the pair -x and x, whose softmax is sigmoid(2 x).
    """
    rule, padded, window = expansion.rule, expansion.padded, expansion.window
    if rule == "exclusive":
        return resize(native, *size)[0] > 0
    if rule == "probability":
        inner = native
    else:
        assert padded is not None
        limit = np.log((1 - AGGREGATE_EPS) / AGGREGATE_EPS)
        if rule == "aggregate-upsample":
            inner = resize(native.clip(-limit, limit), *padded)
        else:
            inner = resize(native, *padded).clip(-limit, limit)
    if window is not None:
        top, left, height, width = window
        inner = inner[:, top : top + height, left : left + width]
    if rule == "probability":
        return resize(inner, *size)[0] > 0.5
    if inner.shape[1:] == size:
        return inner[0] > 0
    return resize(sigmoid(2 * inner), *size)[0] > 0.5


def verbatim(plane: np.ndarray, video: Video, index: int, object_id: int) -> np.ndarray:
    """An object's ``(H, W) bool`` mask, or the mask of it that is given on the frame."""
    given = video.given(index)
    if given is None or object_id not in (*given.new, *given.corrected):
        return plane if index != min(video.prompts) else np.zeros_like(plane)
    if object_id in given.corrected:
        corrected: np.ndarray = given.mask == object_id
        return corrected
    return video.prompts.plane(index, object_id)
