"""All objects of one video through one network, frame by frame."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from adapters.base import FrameMasks
from adapters.expansion import Expansion, sigmoid
from adapters.sam2.holes import fill_holes
from adapters.sam2.memory import Memory, Moment
from adapters.sam2.network import Features, MaskBatch, Network
from adapters.sam2.scaling import ObjectMask, Scaling, merged

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
    """

    scalings: tuple[Scaling, ...] = (Scaling(),)
    chunk_size: int = -1
    rcms_frames: int = 0
    rcms_quality: float = 0.6
    hole_area: int = 0
    conditioning: int = 8


@dataclass
class Track:
    """One object as one configuration sees it: what it remembers, and its latest answer."""

    object_id: int
    scaling: Scaling
    memory: Memory
    answer: ObjectMask


class Tracker:
    """Follows the objects of one video of ``length`` frames, which must come in order."""

    def __init__(self, network: Network, options: TrackerOptions, length: int):
        self._network, self._options, self._length = network, options, length
        self._tracks: list[Track] = []

    def follow(self, index: int, features: Features, given: Collection[int] = ()) -> None:
        """Follow all objects but those in ``given`` to the next frame, those with memories of
        one shape together."""
        tracks = [track for track in self._tracks if track.object_id not in given]
        views = [(track, track.memory.view(index)) for track in tracks]
        views.sort(key=lambda pair: pair[1].shape)
        for _, group in itertools.groupby(views, key=lambda pair: pair[1].shape):
            for chunk in self._chunks(group):
                tracks = [track for track, _ in chunk]
                masks = self._network.follow(features, [view for _, view in chunk], self._length)
                moments = self._moments(index, features, masks, tracks)
                answers = _answers(masks, self._filled(masks))
                for track, moment, answer in zip(tracks, moments, answers, strict=True):
                    track.answer = answer
                    track.memory.remember(moment, visible=answer.visible, quality=answer.confidence)

    def correct(self, index: int, features: Features, masks: dict[int, np.ndarray]) -> None:
        """Correct objects that are followed, in place of following them to this frame: id ->
        given mask ``(H, W) bool``.

        As in the package a mask is a further conditioning frame. One without a pixel says that
        the object is not there: what was remembered of the frames that led there is dropped,
        and this one is remembered as any on which it is not seen.
        """
        for chunk in self._chunks(masks.items()):
            given = self._network.given(features, np.stack([mask for _, mask in chunk]))
            logits = self._filled(given)
            answers = _answers(given, logits)
            rows = {object_id: row for row, (object_id, _) in enumerate(chunk)}
            tracks = [track for track in self._tracks if track.object_id in rows]
            for part in self._chunks(tracks):
                chosen = [rows[track.object_id] for track in part]
                moments = self._moments(index, features, given.rows(chosen, logits), part)
                for track, moment, row in zip(part, moments, chosen, strict=True):
                    track.answer = answers[row]
                    if chunk[row][1].any():
                        track.memory.condition(moment)
                    else:
                        track.memory.lose(moment)

    def add(self, index: int, features: Features, masks: dict[int, np.ndarray]) -> None:
        """Start following objects on a frame: id -> given mask ``(H, W) bool``."""
        known = len({track.object_id for track in self._tracks} | masks.keys())
        for chunk in self._chunks(masks.items()):
            given = self._network.given(features, np.stack([mask for _, mask in chunk]))
            logits = self._filled(given)
            answers = _answers(given, logits)
            started = [
                (row, self._track(object_id, scaling, answers[row]))
                for row, (object_id, mask) in enumerate(chunk)
                for scaling in self._options.scalings
                if scaling.fits(float(mask.mean()), known)
            ]
            for part in self._chunks(started):
                rows, tracks = [row for row, _ in part], [track for _, track in part]
                moments = self._moments(index, features, given.rows(rows, logits), tracks)
                for track, moment in zip(tracks, moments, strict=True):
                    track.memory.condition(moment)
            self._tracks += [track for _, track in started]

    def frame(self, index: int) -> FrameMasks:
        """The answers to the latest frame; those of one object are merged."""
        ids, answers = [], []
        for object_id, group in itertools.groupby(self._tracks, key=lambda track: track.object_id):
            tracks = list(group)
            weights = [track.scaling.weight for track in tracks]
            ids.append(object_id)
            answers.append(merged([track.answer for track in tracks], weights))
        side = self._network.config.image_size // 4
        native = np.array([answer.logits for answer in answers], dtype=np.float32)
        return FrameMasks(
            index=index,
            object_ids=tuple(ids),
            presence=np.array([answer.presence for answer in answers], dtype=np.float32),
            confidence=np.array([answer.confidence for answer in answers], dtype=np.float32),
            native=native.reshape(-1, side, side),
            expansion=Expansion("exclusive"),
        )

    def _track(self, object_id: int, scaling: Scaling, answer: ObjectMask) -> Track:
        config, options = self._network.config, self._options
        memory = Memory(
            config.memory_frames,
            config.pointers,
            options.rcms_frames,
            options.rcms_quality,
            options.conditioning + options.rcms_frames,
        )
        return Track(object_id, scaling, memory, answer)

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
