"""Fusion: the masks of all members on one frame -> the pseudo-label of that frame.

Where the members' ids agree their common answer stands under every rule but `boxes` (a pixel
whose largest probability is object k in each member has k as its largest weighted mean,
maximum and vote), so only the disputed pixels are expanded from the members' soft masks and
put to the rule, see `ensemble.fusion.rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from adapters.base import FrameMasks
from adapters.expansion import Places
from ensemble.fusion.cleanup import clean_up
from ensemble.fusion.contours import sharper_vote, with_contours
from ensemble.fusion.rules import (
    CONTOURS,
    EVERY_PIXEL,
    RULES,
    FusionOptions,
    Points,
    Views,
    prior_weights,
)
from selection.metrics import Regions, iou
from selection.quality import QualityTrack, agreement_with_others, count_patterns

__all__ = ["EVERY_PIXEL", "RULES", "Fused", "FusionOptions", "Gathered", "fuse_frame"]


@dataclass(frozen=True)
class Fused:
    """The pseudo-label of one frame.

    ids        ``(height, width) uint8``
    areas      ``(M + 1, N) int64`` pixels of each member's masks, then of the pseudo-label's
    weights    ``(M, N) float64``: the weight that each member had, 0 where it was left out
    disputed   share of the pixels inside the joint box on which members differ
    overlaps   ``(N, M, M) float64`` IoU of the members' masks with each other
    absent     ``(N,) bool``: the objects that count as absent, see `selection.quality`
    """

    ids: np.ndarray
    areas: np.ndarray
    weights: np.ndarray
    disputed: float
    overlaps: np.ndarray
    absent: np.ndarray


class Gathered:
    """What the members say of one frame, in the form that every rule needs; computed once.

    frames       one per member, all of the same frame
    regions      their masks at one size, which is the pseudo-label's
    priors       ``(M,)`` expected J&F of each member, in (0, 1)
    object_ids   the objects to decide on, ascending; a member that lacks one does not see it
    track        the members' quality on the frames before; None: this frame stands alone
    scored       the objects that were given on earlier frames: on these the members are told apart
    """

    def __init__(
        self,
        frames: Sequence[FrameMasks],
        regions: Sequence[Regions],
        priors: np.ndarray,
        object_ids: tuple[int, ...],
        track: QualityTrack | None = None,
        scored: Sequence[int] | None = None,
    ):
        self._track = track or QualityTrack(priors)
        self._scored = object_ids if scored is None else scored
        self.frames, self.regions, self.object_ids = frames, regions, object_ids
        self.size = regions[0].shape
        self.priors = np.asarray(priors, dtype=np.float64)
        self.box = joint_box(regions) if object_ids else None

    @cached_property
    def choices(self) -> np.ndarray:
        """``(M, h, w) uint8`` inside `box`: position of the object of each pixel, N: background."""
        assert self.box is not None
        y0, y1, x0, x1 = self.box
        position = np.full(256, len(self.object_ids), dtype=np.uint8)
        position[list(self.object_ids)] = np.arange(len(self.object_ids))
        return np.stack([cv2.LUT(r.ids[y0:y1, x0:x1], position) for r in self.regions])

    @cached_property
    def disputed(self) -> np.ndarray:
        """``(h, w) bool`` inside `box`: pixels on which members differ."""
        first, *others = self.choices
        differ = np.zeros(first.shape, dtype=bool)
        for plane in others:
            differ |= plane != first
        return differ

    def judge(self) -> None:
        """Let the frame count for the members' quality, though nothing is fused."""
        if self.box is not None:
            _ = self.views

    @cached_property
    def views(self) -> Views:
        """The members' areas, boxes, overlaps and confidences."""
        assert self.box is not None
        confidence = np.stack(
            [align(f.confidence, f.object_ids, self.object_ids) for f in self.frames]
        )
        views = survey(self.regions, self.object_ids, self.priors, confidence)
        same = self._same(views)
        self._judge(views, same)
        copies, say = same.sum(axis=1), self._track.weigh(self.object_ids)
        absent = self._track.absent(views.areas > 0, copies)
        return replace(views, copies=copies, say=say, absent=absent)

    def _judge(self, views: Views, same: np.ndarray) -> None:
        """Show the track how far each member agrees with the others on this frame."""
        before = self._track.weigh(self.object_ids, lead=False) / same.sum(axis=1)[:, None]
        disputed = self.choices[:, self.disputed]
        for n, object_id in enumerate(self.object_ids):
            if object_id not in self._scored:
                continue
            chosen = disputed == n
            patterns, counts = count_patterns(chosen)
            alike = views.areas[0, n] - np.count_nonzero(chosen[0])
            patterns = np.hstack([patterns, np.ones((len(patterns), 1), bool)])
            counts = np.append(counts, alike)
            agreement = agreement_with_others(patterns, counts, before[:, n], same)
            self._track.update(object_id, agreement)

    @cached_property
    def disputed_points(self) -> Points:
        """What the members say of the disputed pixels."""
        return self.points(self.disputed)

    def fuse(self, options: FusionOptions) -> Fused:
        """The pseudo-label of the frame under the rule of ``options``."""
        count, members = len(self.object_ids), len(self.frames)
        ids = np.zeros(self.size, dtype=np.uint8)
        if self.box is None:
            alike = np.ones((count, members, members))
            areas = np.zeros((members + 1, count), np.int64)
            nothing = np.ones(count, dtype=bool)
            return Fused(ids, areas, np.ones((members, count)), 0.0, alike, nothing)
        views = self.views
        everywhere = options.rule in EVERY_PIXEL
        chosen = np.ones_like(self.disputed) if everywhere else self.disputed
        points = self.points(chosen) if everywhere else self.disputed_points
        fused, weights = RULES[options.rule](views, points, options)
        decided = self.decided(chosen, fused)
        if options.rule in CONTOURS:
            sharper = sharper_vote(points.probabilities, fused, weights, views.copies)
            decided = with_contours(decided, self.decided(chosen, sharper))
        if options.clean_radius:
            by_prior = prior_weights(views.priors)
            decided = clean_up(decided, self.choices, by_prior, count, options.clean_radius)
        names = np.zeros(256, dtype=np.uint8)
        names[:count] = self.object_ids
        y0, y1, x0, x1 = self.box
        ids[y0:y1, x0:x1] = cv2.LUT(decided, names)
        sizes = [np.count_nonzero(decided == n) for n in range(count)]
        areas = np.vstack([views.areas, sizes])
        disputed = float(chosen.mean())
        return Fused(ids, areas, weights, disputed, views.overlaps, views.absent)

    def decided(self, chosen: np.ndarray, fused: np.ndarray) -> np.ndarray:
        """``(h, w) uint8`` inside `box`: positions of objects, by `decide` where ``chosen``."""
        decided = self.choices[0].copy()
        decided[chosen] = decide(fused)
        return decided

    def points(self, chosen: np.ndarray) -> Points:
        """What the members say of the pixels of ``chosen``, ``(h, w) bool`` inside `box`."""
        assert self.box is not None
        y0, _, x0, x1 = self.box
        where = np.flatnonzero(chosen)
        rows, columns = np.divmod(where, x1 - x0)
        rows += y0
        columns += x0
        places = Places(*self.size, rows, columns)
        sampled = [
            align(frame.probabilities_at(places), frame.object_ids, self.object_ids)
            for frame in self.frames
        ]
        choices = self.choices.reshape(len(self.frames), -1)[:, where]
        return Points(np.stack(sampled), choices, rows, columns)

    def _same(self, views: Views) -> np.ndarray:
        """``(M, M) bool``: which members have the say of one.

        These are clusters of the video where they are known, else those that say the same of the
        frame to the last probability. Members that give labels only may agree on every pixel
        without being copies.
        """
        if self._track.preview.clusters is not None:
            return self._track.preview.clusters
        same = np.eye(len(self.frames), dtype=bool)
        soft = [frame.expansion.rule != "labels" for frame in self.frames]
        for a in range(len(same)):
            for b in range(a):
                same[a, b] = same[b, a] = (
                    (soft[a] and soft[b] and views.areas[a].any())
                    and (views.overlaps[:, a, b] == 1).all()
                    and np.array_equal(views.confidence[a], views.confidence[b])
                    and np.array_equal(*self.disputed_points.probabilities[[a, b]])
                )
        return same


def fuse_frame(
    frames: Sequence[FrameMasks],
    priors: np.ndarray,
    object_ids: tuple[int, ...],
    size: tuple[int, int],
    options: FusionOptions | None = None,
) -> Fused:
    """Fuse the members' masks of one frame at ``size`` (height, width), see `Gathered`."""
    regions = [Regions(frame.labels(*size)) for frame in frames]
    gathered = Gathered(frames, regions, priors, object_ids)
    return gathered.fuse(options or FusionOptions())


def decide(fused: np.ndarray) -> np.ndarray:
    """``(P,)`` position of the most probable object of ``(N, P)``, N for the background.

    Probabilities closer than 1e-6 are equal, so that the order in which members were added
    up decides nothing; ties go to the background, then to the earlier object.
    """
    steps = np.rint(fused * 1e6).astype(np.int64)
    best = steps.argmax(axis=0)
    return np.where(1_000_000 - steps.sum(axis=0) >= steps.max(axis=0), len(steps), best)


def survey(
    regions: Sequence[Regions],
    object_ids: Sequence[int],
    priors: np.ndarray,
    confidence: np.ndarray,
) -> Views:
    """`Views` from the members' masks, without a search for copies."""
    members, count = len(regions), len(object_ids)
    areas = np.zeros((members, count), dtype=np.int64)
    boxes = np.zeros((members, count, 4), dtype=np.int64)
    overlaps = np.ones((count, members, members))
    for n, object_id in enumerate(object_ids):
        for a, one in enumerate(regions):
            areas[a, n] = one.areas.get(object_id, 0)
            top, left, bottom, right = one.boxes.get(object_id, (0, 0, 0, 0))
            boxes[a, n] = top, bottom, left, right
            for b in range(a):
                overlaps[n, a, b] = overlaps[n, b, a] = iou(one, regions[b], object_id)
    alone = np.ones(members, np.int64)
    nobody = areas.sum(axis=0) == 0
    return Views(priors, confidence, areas, boxes, overlaps, alone, np.ones(areas.shape), nobody)


def joint_box(regions: Sequence[Regions]) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) around everything that any member gives to an object."""
    boxes = np.array([box for masks in regions for box in masks.boxes.values()])
    if not len(boxes):
        return None
    top, left = boxes[:, :2].min(axis=0)
    bottom, right = boxes[:, 2:].max(axis=0)
    return int(top), int(bottom), int(left), int(right)


def align(values: np.ndarray, have: tuple[int, ...], want: tuple[int, ...]) -> np.ndarray:
    """Rows of ``values`` (one per id of ``have``) in the order of ``want``; zeros where absent."""
    if have == want:
        return values
    out = np.zeros((len(want), *values.shape[1:]), dtype=values.dtype)
    at = {object_id: row for row, object_id in enumerate(have)}
    for row, object_id in enumerate(want):
        if object_id in at:
            out[row] = values[at[object_id]]
    return out
