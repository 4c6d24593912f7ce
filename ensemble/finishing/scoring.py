"""Fills an `Evidence` with what is measured of every candidate, frame by frame."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from adapters.base import FrameMasks
from ensemble.fusion.frame import Fused
from mose import Video
from mose.labels import LabelMasks
from mose.masks import VOID
from selection.appearance import Looks
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.metrics import Regions, VideoScorer, iou, object_score


def blank_evidence(video: Video, members: Sequence[str], priors: np.ndarray) -> Evidence:
    """Evidence to be filled; the pseudo-label's prior is the best member's."""
    return Evidence.blank(
        video.name,
        (*members, PSEUDO_LABEL),
        np.append(priors, priors.max()),
        video.object_ids,
        video.frame_names,
    )


class Scorer:
    """Fills the evidence of one video, frame by frame, in order."""

    def __init__(self, evidence: Evidence, appearance: Looks):
        self.evidence, self._appearance = evidence, appearance
        self._column = {object_id: n for n, object_id in enumerate(evidence.object_ids)}
        self._before: dict[int, Regions] = {}
        self._true: set[int] = set()

    def add_fusion(
        self, index: int, known: Sequence[int], frames: Sequence[FrameMasks], fused: Fused
    ) -> None:
        """Record what the members say of a frame as a whole, and their weights in its fusion."""
        evidence = self.evidence
        evidence.disputed[index] = fused.disputed
        if known:
            evidence.overlap[index] = fused.overlaps.mean(axis=0)
        for row, frame in enumerate(frames):
            for presence, confidence, object_id in zip(
                frame.presence, frame.confidence, frame.object_ids, strict=True
            ):
                if object_id in self._column:
                    column = self._column[object_id]
                    evidence["presence"][index, row, column] = presence
                    evidence["confidence"][index, row, column] = confidence
        at = [self._column[object_id] for object_id in known]
        evidence["weight"][index, :-1, at] = fused.weights.T
        evidence["area"][index][:, at] = fused.areas
        shares = fused.weights / np.maximum(fused.weights.sum(axis=0), 1e-12)
        others = np.einsum("nab,bn->an", fused.overlaps, shares) - shares
        others /= np.maximum(1 - shares, 1e-12)
        evidence["support"][index, :-1, at] = np.where(shares < 1, others, 1.0).clip(0, 1).T
        evidence.absent[index, at] = fused.absent

    def add_candidates(
        self,
        index: int,
        scored: Sequence[int],
        candidates: Sequence[Regions],
        first_row: int = 0,
    ) -> None:
        """Measure each candidate's masks by themselves, on every frame.

        ``first_row`` is the row of the first of them in the evidence.
        """
        for row, regions in enumerate(candidates, first_row):
            before = self._before.get(row)
            for object_id in scored:
                at = index, row, self._column[object_id]
                if before is not None:
                    self.evidence["stability"][at] = iou(before, regions, object_id)
                likeness = self._appearance.likeness(index, regions.ids, object_id)
                self.evidence["appearance"][at] = likeness
            self._before[row] = regions

    def add_truth(
        self,
        index: int,
        candidates: Sequence[Regions],
        truth: Regions | None,
        counts: bool,
        first_row: int = 0,
    ) -> None:
        """Score each candidate against a frame's label, all objects alike: one that is not given
        yet has no pixels, which is right where the label has none either.

        candidates   the masks as they would be written
        counts       whether the frame is scored; else its label only tells which objects there are
        """
        if truth is None:
            return
        self._true.update(truth.areas)
        if not counts:
            return
        for row, regions in enumerate(candidates, first_row):
            counted = _counted(regions, truth)
            for object_id, column in self._column.items():
                score = object_score(counted, truth, object_id)
                self.evidence["truth_j"][index, row, column] = score.J
                self.evidence["truth_f"][index, row, column] = score.F
        for object_id, column in self._column.items():
            self.evidence.true_area[index, column] = truth.areas.get(object_id, 0)

    def close_truth(self, listed: Collection[int] | None = None) -> tuple[int, ...]:
        """Leave out the objects that no label holds, as `selection.evaluate` does; returns those
        that it scores though they are never given.

        listed   the objects that the data set's meta file gives the video; None: labels tell
        """
        counted = self._true if listed is None else set(listed)
        for object_id, column in self._column.items():
            if object_id not in counted:
                for plane in ("truth_j", "truth_f"):
                    self.evidence[plane][:, :, column] = np.nan
        return tuple(sorted(counted - self._column.keys())) if self._true else ()

    def add_agreement(
        self,
        index: int,
        scored: Sequence[int],
        candidates: Sequence[Regions],
        pseudo: Regions,
        contours: bool = True,
    ) -> None:
        """Score every candidate against the pseudo-label; by J alone without ``contours``."""
        for row, regions in enumerate(candidates):
            for object_id in scored:
                at = index, row, self._column[object_id]
                if contours:
                    score = object_score(regions, pseudo, object_id)
                    self.evidence["agreement_j"][at] = score.J
                    self.evidence["agreement_f"][at] = score.F
                else:
                    self.evidence["agreement_j"][at] = iou(regions, pseudo, object_id)
        columns = [self._column[object_id] for object_id in scored]
        weights = self.evidence["weight"][index, :-1][:, columns]
        shares = weights / np.maximum(weights.sum(axis=0), 1e-12)
        agreement = self.evidence["agreement_j"][index, :-1][:, columns]
        self.evidence["support"][index, -1, columns] = (shares * agreement).sum(axis=0)


def _counted(regions: Regions, truth: Regions) -> Regions:
    """The masks without the pixels that are to be ignored (255 in the labels), as DAVIS 2017's
    evaluation has it."""
    void = truth.ids == VOID
    return Regions(np.where(void, 0, regions.ids).astype(np.uint8)) if void.any() else regions


class WrittenScore:
    """The J&F of the masks that are written of a video, fed frame by frame in any order.

    Candidates' own scores do not tell it where several share the video, and nobody knows who has
    a pixel that two of them claim, or where somebody has drawn in it.
    """

    def __init__(self, video: Video, labels: LabelMasks):
        self._labels, self._last = labels, len(video) - 1
        self._scorer = VideoScorer("davis", video.object_ids)

    def counts(self, index: int) -> bool:
        """Whether a frame is scored."""
        return index != self._last and self._labels.counts(index)

    def add(self, index: int, ids: np.ndarray) -> None:
        """Score one frame, if it counts; ``ids`` is ``(H, W) uint8``."""
        truth = self._labels(index) if self.counts(index) else None
        if truth is not None:
            self._scorer.add(np.where(truth == VOID, 0, ids).astype(np.uint8), truth)

    def by_object(self) -> dict[int, float] | None:
        """Object id -> J&F in [0, 1]; None where no frame counted."""
        if not self._scorer.frames:
            return None
        told = self._scorer.scores().items()
        return {n: float(scores["J&F"] or 0) for n, scores in told if scores}
