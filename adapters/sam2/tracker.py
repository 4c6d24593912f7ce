"""All objects of one video through one network, frame by frame."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from adapters.base import FrameMasks
from adapters.expansion import Expansion, sigmoid
from adapters.sam2.holes import fill_holes
from adapters.sam2.memories import MemoryKind, MemoryLimits, ObjectMemory
from adapters.sam2.memories.record import Moment, Proposal, Taken, View
from adapters.sam2.network import Network
from adapters.sam2.scaling import ObjectMask, Scaling, merged
from adapters.sam2.steps import Features, MaskBatch
from mose import Video

Item = TypeVar("Item")


@dataclass(frozen=True)
class TrackerOptions:
    """How objects are followed.

    scalings       configurations, at least one of which follows every object
    chunk_size     objects times configurations in one batch; -1: as many as pay
    rcms_frames    frames that reliable conditioned memory promotes; 0: none
    rcms_quality   above which a frame is reliable
    hole_area      background components up to this many low-resolution pixels are filled
    conditioning   given masks that an object's memory keeps, beside the frames of RCMS
    memory         what objects remember
    """

    scalings: tuple[Scaling, ...] = (Scaling(),)
    chunk_size: int = -1
    rcms_frames: int = 0
    rcms_quality: float = 0.6
    hole_area: int = 0
    conditioning: int = 8
    memory: MemoryKind = field(default_factory=MemoryKind)


@dataclass(frozen=True)
class Track:
    """One object as one configuration sees it.

    start     the frame on which it was given
    memory    what is remembered of it
    decided   its masks that were not given out yet, from the first frame of which this is so
    """

    object_id: int
    scaling: Scaling
    start: int
    memory: ObjectMemory
    decided: deque[ObjectMask] = field(default_factory=deque)


class Tracker:
    """Follows the objects of one video of ``length`` frames, which must come in order."""

    def __init__(self, network: Network, options: TrackerOptions, length: int):
        self._network, self._options, self._length = network, options, length
        self._tracks: list[Track] = []
        self._next: int | None = None  # the frame to give out

    def follow(self, index: int, features: Features, given: Collection[int] = ()) -> None:
        """Follow all objects but those in ``given`` to the next frame."""
        tracks = [track for track in self._tracks if track.object_id not in given]
        proposals = self._proposals(features, [track.memory.views(index) for track in tracks])
        chosen = [
            (track, own[choice.proposal], choice)
            for track, own in zip(tracks, proposals, strict=True)
            for choice in track.memory.choose(own)
        ]
        taken = []
        for chunk in self._chunks(chosen):
            masks = self._network.take(
                [proposal for _, proposal, _ in chunk], [choice.mask for _, _, choice in chunk]
            )
            moments = self._moments(index, features, masks, [track for track, _, _ in chunk])
            answers = _answers(masks, self._filled(masks))
            for (track, proposal, choice), moment, answer in zip(
                chunk, moments, answers, strict=True
            ):
                taken.append((track, Taken(moment, answer, proposal, choice)))
        for track in tracks:
            own_taken = [each for owner, each in taken if owner is track]
            track.decided.extend(track.memory.remember(own_taken))

    def correct(self, index: int, features: Features, masks: dict[int, np.ndarray]) -> None:
        """Correct objects that are followed, in place of following them to this frame: id ->
        given mask ``(H, W) bool``.

        As in the package a mask is a further conditioning frame. One without a pixel says that
        the object is not there: what was remembered of the frames that led there is dropped,
        and this one is remembered as any on which it is not seen.
        """
        tracks = [track for track in self._tracks if track.object_id in masks]
        self._give(index, features, masks, tracks)

    def add(self, index: int, features: Features, masks: dict[int, np.ndarray]) -> None:
        """Start following objects on a frame: id -> given mask ``(H, W) bool``."""
        known = len({track.object_id for track in self._tracks} | masks.keys())
        tracks = [
            Track(object_id, scaling, index, self._memory())
            for object_id, mask in masks.items()
            for scaling in self._options.scalings
            if scaling.fits(float(mask.mean()), known)
        ]
        self._give(index, features, masks, tracks)
        self._tracks += tracks
        if self._next is None:
            self._next = index

    def decided(self) -> Iterator[FrameMasks]:
        """The answers to all frames for which those of all objects are decided, each once."""
        while self._next is not None:
            tracks = [track for track in self._tracks if track.start <= self._next]
            if not all(track.decided for track in tracks):
                return
            yield self._frame(self._next, tracks)
            self._next += 1

    def rest(self) -> Iterator[FrameMasks]:
        """The answers to the frames that are left when the video ends."""
        for track in self._tracks:
            track.decided.extend(track.memory.rest())
        return self.decided()

    def _frame(self, index: int, tracks: Sequence[Track]) -> FrameMasks:
        """The answers to a frame; those of one object are merged."""
        ids, answers = [], []
        for object_id, group in itertools.groupby(tracks, key=lambda track: track.object_id):
            own = list(group)
            weights = [track.scaling.weight for track in own]
            ids.append(object_id)
            answers.append(merged([track.decided.popleft() for track in own], weights))
        side = self._network.mask_side
        native = np.array([answer.logits for answer in answers], dtype=np.float32)
        return FrameMasks(
            index=index,
            object_ids=tuple(ids),
            presence=np.array([answer.presence for answer in answers], dtype=np.float32),
            confidence=np.array([answer.confidence for answer in answers], dtype=np.float32),
            native=native.reshape(-1, side, side),
            expansion=Expansion("exclusive"),
        )

    def _proposals(
        self, features: Features, views: Sequence[Sequence[View]]
    ) -> list[list[Proposal]]:
        """A proposal for each of the views of each object; views of one shape together."""
        places = [(view, row, at) for row, own in enumerate(views) for at, view in enumerate(own)]
        places.sort(key=lambda place: place[0].shape)
        answered: dict[tuple[int, int], Proposal] = {}
        for _, group in itertools.groupby(places, key=lambda place: place[0].shape):
            for chunk in self._chunks(group):
                batch = [view for view, _, _ in chunk]
                proposals = self._network.follow(features, batch, self._length)
                for (_, row, at), proposal in zip(chunk, proposals, strict=True):
                    answered[row, at] = proposal
        return [[answered[row, at] for at in range(len(own))] for row, own in enumerate(views)]

    def _give(
        self,
        index: int,
        features: Features,
        masks: dict[int, np.ndarray],
        tracks: Sequence[Track],
    ) -> None:
        """Take given masks, of which the tracks are."""
        for chunk in self._chunks(masks.items()):
            given = self._network.given(features, np.stack([mask for _, mask in chunk]))
            logits = self._filled(given)
            answers = _answers(given, logits)
            rows = {object_id: row for row, (object_id, _) in enumerate(chunk)}
            for part in self._chunks(track for track in tracks if track.object_id in rows):
                chosen = [rows[track.object_id] for track in part]
                moments = self._moments(index, features, given.rows(chosen, logits), part)
                for track, moment, row in zip(part, moments, chosen, strict=True):
                    there = chunk[row][1].any()
                    take = track.memory.condition if there else track.memory.lose
                    track.decided.extend(take(moment, answers[row]))

    def _memory(self) -> ObjectMemory:
        config, options = self._network.config, self._options
        limits = MemoryLimits(
            frames=config.memory_frames,
            pointers=config.pointers,
            reliable=options.rcms_frames,
            quality=options.rcms_quality,
            conditioning=options.conditioning + options.rcms_frames,
        )
        return options.memory.make(limits)

    def _moments(
        self, index: int, features: Features, masks: MaskBatch, tracks: Sequence[Track]
    ) -> list[Moment]:
        """What each track remembers of a frame, from its row of ``masks``."""
        scale, bias = (
            torch.tensor(values, dtype=torch.float32, device=masks.logits.device)
            for values in zip(
                *((t.scaling.sigmoid_scale, t.scaling.sigmoid_bias) for t in tracks), strict=True
            )
        )
        remembered = self._network.memorise(features, masks, scale, bias)
        # Copies: a view would keep the whole batch for as long as one of its rows is of use.
        return [
            Moment(index, row.clone(), pointer.clone())
            for row, pointer in zip(remembered, masks.pointer, strict=True)
        ]

    def _filled(self, masks: MaskBatch) -> np.ndarray:
        """``(B, h, w) float32`` logits, with small holes filled where that is wanted."""
        logits = masks.logits[:, 0].float().cpu().numpy()
        return fill_holes(logits, self._options.hole_area) if self._options.hole_area else logits

    def _chunks(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Lists of at most as many items as may be in one batch."""
        waiting = list(items)
        size = self._options.chunk_size if self._options.chunk_size > 0 else self._network.batch
        for start in range(0, len(waiting), size):
            yield waiting[start : start + size]


def follow_video(video: Video, network: Network, options: TrackerOptions) -> Iterator[FrameMasks]:
    """The masks of a video's objects, frame by frame."""
    tracker = Tracker(network, options, len(video))
    first = min(video.prompts)
    for index in range(len(video)):
        if index < first:
            yield _nothing(index, network.mask_side)
            continue
        features = network.encode(video[index])
        given = video.given(index)
        tracker.follow(index, features, given.corrected if given else ())
        if given:
            tracker.correct(index, features, {i: given.mask == i for i in given.corrected})
            tracker.add(index, features, {i: given.plane(i) for i in given.new})
        yield from tracker.decided()
    yield from tracker.rest()


def _nothing(index: int, side: int) -> FrameMasks:
    """A frame before the first given mask."""
    none = np.zeros(0, dtype=np.float32)
    native = np.zeros((0, side, side), dtype=np.float32)
    return FrameMasks(index, (), none, none, native, Expansion("exclusive"))


def _answers(masks: MaskBatch, logits: np.ndarray) -> list[ObjectMask]:
    """Presence and confidence of masks ``(B, h, w)``.

    Confidence is the quality of reliable conditioned memory (MOSEv2, Ding et al. 2025):
    sigmoid(object score) x predicted IoU x mean foreground probability; 0 for an empty mask.
    """
    scores, ious = torch.stack([masks.score[:, 0].float(), masks.iou.float()]).cpu().numpy()
    answers = []
    for plane, score, presence, iou in zip(logits, scores, sigmoid(scores), ious, strict=True):
        foreground = plane[plane > 0]
        probability = float(sigmoid(foreground).mean()) if foreground.size else 0.0
        confidence = float(presence) * float(iou) * probability
        answers.append(ObjectMask(plane, bool(score > 0), float(presence), confidence))
    return answers
