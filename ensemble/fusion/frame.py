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
from adapters.expansion import Places, largest
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
from selection.metrics import Regions
from selection.metrics.bits import sparse_nonzero
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
    def crops(self) -> list[np.ndarray]:
        """``(h, w) uint8`` inside `box` per member: ids, 0 for those that are not decided on."""
        assert self.box is not None
        y0, y1, x0, x1 = self.box
        crops = [masks.ids[y0:y1, x0:x1] for masks in self.regions]
        kept = np.zeros(256, np.uint8)
        kept[list(self.object_ids)] = self.object_ids
        known = {0, *self.object_ids}
        return [
            crop if known.issuperset(masks.values) else cv2.LUT(crop, kept)
            for crop, masks in zip(crops, self.regions, strict=True)
        ]

    @cached_property
    def position(self) -> np.ndarray:
        """``(256,) uint8``: the position of the object of each id; N for the background."""
        position = np.full(256, len(self.object_ids), dtype=np.uint8)
        position[list(self.object_ids)] = np.arange(len(self.object_ids))
        return position

    @cached_property
    def disputed(self) -> np.ndarray:
        """``(P,) int``, ascending: pixels on which members differ, counted row by row in `box`."""
        first, *others = self.crops
        differ = np.zeros_like(first, order="C")
        for plane in others:
            cv2.bitwise_or(differ, cv2.bitwise_xor(plane, first), dst=differ)
        return sparse_nonzero(differ.reshape(-1))

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
        areas, boxes = measures(self.regions, self.object_ids)
        patterns = self._patterns(areas)
        overlaps = np.array([overlaps_of(*each) for each in patterns])
        alone, say = np.ones(len(areas), np.int64), np.ones(areas.shape)
        nobody = areas.sum(axis=0) == 0
        views = Views(self.priors, confidence, areas, boxes, overlaps, alone, say, nobody)
        same = self._same(views)
        self._judge(patterns, same)
        copies, say = same.sum(axis=1), self._track.weigh(self.object_ids)
        absent = self._track.absent(areas > 0, copies)
        return replace(views, copies=copies, say=say, absent=absent)

    def _patterns(self, areas: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """`count_patterns` of all pixels of each object: of the disputed ones, and one of those
        that every member has."""
        patterns = []
        for n in range(len(self.object_ids)):
            chosen = self.disputed_points.choices == n
            which, counts = count_patterns(chosen)
            alike = areas[0, n] - np.count_nonzero(chosen[0])
            everyone = np.ones((len(which), 1), bool)
            patterns.append((np.hstack([which, everyone]), np.append(counts, alike)))
        return patterns

    def _judge(self, patterns: list[tuple[np.ndarray, np.ndarray]], same: np.ndarray) -> None:
        """Show the track how far each member agrees with the others on this frame."""
        before = self._track.weigh(self.object_ids, lead=False) / same.sum(axis=1)[:, None]
        for n, object_id in enumerate(self.object_ids):
            if object_id in self._scored:
                agreement = agreement_with_others(*patterns[n], before[:, n], same)
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
        chosen = np.arange(self.crops[0].size) if everywhere else self.disputed
        points = self.points(chosen) if everywhere else self.disputed_points
        fused, weights = RULES[options.rule](views, points, options)
        names = np.array([*self.object_ids, 0], np.uint8)
        decided = self.crops[0].copy()
        settled = names[decide(fused)]
        if options.rule in CONTOURS:
            sharper = sharper_vote(points.probabilities, fused, weights, views.copies)
            settled = with_contours(settled, names[decide(sharper)], chosen, decided.shape)
        decided.reshape(-1)[chosen] = settled
        if options.clean_radius:
            decided = self.cleaned(decided, options.clean_radius)
        y0, y1, x0, x1 = self.box
        ids[y0:y1, x0:x1] = decided
        sizes = [np.count_nonzero(decided == object_id) for object_id in self.object_ids]
        areas = np.vstack([views.areas, sizes])
        disputed = len(chosen) / decided.size
        return Fused(ids, areas, weights, disputed, views.overlaps, views.absent)

    def cleaned(self, decided: np.ndarray, radius: int) -> np.ndarray:
        """``(h, w) uint8`` ids inside `box` after `clean_up`."""
        choices = np.stack([cv2.LUT(crop, self.position) for crop in self.crops])
        by_prior, count = prior_weights(self.views.priors), len(self.object_ids)
        positions = clean_up(cv2.LUT(decided, self.position), choices, by_prior, count, radius)
        names = np.zeros(256, np.uint8)
        names[:count] = self.object_ids
        return cv2.LUT(positions, names)

    def points(self, chosen: np.ndarray) -> Points:
        """What the members say of the pixels ``chosen``, ``(P,) int``, see `disputed`."""
        assert self.box is not None
        y0, _, x0, x1 = self.box
        rows, columns = np.divmod(chosen, x1 - x0)
        rows += y0
        columns += x0
        inside = rows * self.size[1] + columns
        ids = np.stack([masks.ids.reshape(-1).take(inside) for masks in self.regions])

        def expand() -> np.ndarray:
            places = Places(*self.size, rows, columns)
            have = [frame.object_ids for frame in self.frames]
            said = [frame.probabilities_at(places) for frame in self.frames]
            both = zip(said, have, strict=True)
            return np.stack([align(values, ids, self.object_ids) for values, ids in both])

        choices = cv2.LUT(ids, self.position) if ids.size else ids
        return Points(expand, choices, rows, columns)

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
    steps = np.rint(fused * 1e6).astype(np.int32)
    best, most = largest(steps)
    return np.where(1_000_000 - steps.sum(axis=0) >= most, len(steps), best)


def measures(
    regions: Sequence[Regions], object_ids: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Areas ``(M, N) int64`` and boxes ``(M, N, 4) int64`` of the members' masks, see `Views`."""
    areas = np.zeros((len(regions), len(object_ids)), dtype=np.int64)
    boxes = np.zeros((*areas.shape, 4), dtype=np.int64)
    for m, masks in enumerate(regions):
        for n, object_id in enumerate(object_ids):
            areas[m, n] = masks.areas.get(object_id, 0)
            top, left, bottom, right = masks.boxes.get(object_id, (0, 0, 0, 0))
            boxes[m, n] = top, bottom, left, right
    return areas, boxes


def overlaps_of(patterns: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``(M, M)`` IoU of the members' masks of an object; 1 where both are empty.

    patterns, counts   see `count_patterns`, of all pixels of the object
    """
    both = (patterns * counts) @ patterns.T
    areas = np.diagonal(both)
    union = areas[:, None] + areas - both
    return np.where(union > 0, both / np.maximum(union, 1), 1.0)


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
