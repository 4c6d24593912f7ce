"""A first look at some frames of a video: what there is to know of its members before any frame
is fused.

It tells how far each member's masks look like their objects, how often each sees nothing, and which
members' errors go together. Two that share an encoder or weights are wrong in the same places, and
no two witnesses. All of it is the same whatever the order of members, objects and frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ensemble.storage.predictions import Prediction, StoredFrame
from mose import Video
from selection.appearance import Looks, looks_of
from selection.quality import Preview, limited, load_presence, load_quality

SMALL = 120
"""Rows of the masks whose errors are compared."""

TOGETHER = 0.5
"""Members belong together if this share of the pixels on which one of them differs from the vote
are the same of both. Of any two of 17 published methods and of the built-in members at most 0.31
are; copies have 1."""


@dataclass(frozen=True)
class Glance:
    """An object on a sampled frame, as the M members see it.

    masks     ``(M, P) bool``, small
    seen      ``(M,) bool``: the mask has a pixel at its full size
    likeness  ``(M,)`` in [0, 1]; NaN where it is not known
    said      ``(M,) float32`` confidence of each member
    """

    masks: np.ndarray
    seen: np.ndarray
    likeness: np.ndarray
    said: np.ndarray


class Previews:
    """Glances at all members of a video, and the `Preview` of any set of them.

    families   tell, per member, which weights it comes from: members that were trained from the
               same ones, as in a round, are one witness, however far they have moved. Two of them
               that count as two cost 0.3 to 0.9 on 27 real clips (docs/lab/2026-11-30-rounds.md).
    """

    def __init__(
        self, video: Video, predictions: Sequence[Prediction], families: Sequence[str] = ()
    ):
        self.appearance = Looks(video)
        self._video, self._predictions = video, predictions
        named = np.array(families or range(len(predictions)))
        self._related = named[:, None] == named
        self._soft = np.zeros(len(predictions), dtype=bool)
        self._glances = [
            glance for index in sorted(self.appearance.sampled) for glance in self._look(index)
        ]

    def of(self, rows: Sequence[int], priors: np.ndarray) -> Preview:
        """Of the members in these ``rows``, whose ``(M,)`` priors are in (0, 1)."""
        rows = list(rows)
        if not self._glances:
            return Preview.blank(priors)
        seen = np.array([glance.seen[rows] for glance in self._glances])
        looks = looks_of(np.array([glance.likeness[rows] for glance in self._glances]), seen)
        clusters = self._clusters(rows, priors, looks)
        rates = load_presence().rates(seen, clusters.sum(axis=1), limited(priors))
        return Preview(looks, clusters, rates)

    def _look(self, index: int) -> list[Glance]:
        """At the objects that were given before a frame."""
        video = self._video
        before = {n for t in video.prompts if t < index for n in video.prompts.ids(t)}
        if not before:
            return []
        frames = [prediction[index] for prediction in self._predictions]
        labels = [frame.labels(video.height, video.width) for frame in frames]
        self._soft |= [frame.expansion.rule != "labels" for frame in frames]
        scale = min(1.0, SMALL / min(video.height, video.width))
        size = max(1, round(video.width * scale)), max(1, round(video.height * scale))
        small = np.stack([cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST) for ids in labels])
        small = small.reshape(len(frames), -1)
        likeness = self.appearance.likeness
        glances = []
        for object_id in sorted(before):
            masks = small == object_id
            both = zip(masks.any(axis=1), labels, strict=True)
            glances.append(
                Glance(
                    masks[:, masks.any(axis=0)],
                    np.array([some or (ids == object_id).any() for some, ids in both]),
                    np.array([likeness(index, ids, object_id) for ids in labels]),
                    np.array([confidence_in(frame, object_id) for frame in frames]),
                )
            )
        return glances

    def _clusters(self, rows: list[int], priors: np.ndarray, looks: np.ndarray) -> np.ndarray:
        """``(M, M) bool``: members whose errors go together."""
        model = load_quality()
        nothing = np.full((len(rows), 1), np.nan)
        say = model.weigh(model.expected_j(priors, nothing, looks))[:, 0]
        masks = np.concatenate([glance.masks[rows] for glance in self._glances], axis=1)
        said = np.array([glance.said[rows] for glance in self._glances]).T
        soft = self._soft[rows] & masks.any(axis=1)
        copies = (said[:, None] == said).all(axis=2) & np.outer(soft, soft)
        copies &= np.array([[np.array_equal(a, b) for b in masks] for a in masks])
        copies |= np.eye(len(rows), dtype=bool)
        say = say / copies.sum(axis=1)
        # Exact ties go to the background, whatever the order in which members were added up.
        wrong = (masks != (2 * say @ masks > (1 + 1e-6) * say.sum())).astype(np.float32)
        both, own = wrong @ wrong.T, wrong.sum(axis=1)
        either = own[:, None] + own - both
        together = both > TOGETHER * np.maximum(either, 1)
        return closed(copies | together | self._related[np.ix_(rows, rows)])


def confidence_in(frame: StoredFrame, object_id: int) -> float:
    """A member's confidence in an object; NaN if it has none, which equals nothing."""
    at = frame.object_ids.index(object_id) if object_id in frame.object_ids else None
    return np.nan if at is None else float(frame.confidence[at])


def closed(pairs: np.ndarray) -> np.ndarray:
    """``(M, M) bool``: members that are joined by a chain of pairs."""
    joined = pairs
    for _ in range(len(pairs)):
        joined = (joined.astype(np.uint8) @ joined) > 0
    return joined
