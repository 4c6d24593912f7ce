"""Whose foreground it is: one foreground per frame, split between the objects.

This identity step is the project's own; TMO knows one foreground and no identities. Every
object, and everything else that was ever foreground, is carried along the optical flow.
Foreground near them goes, pixel by pixel, to the nearest, with colour and texture deciding
where they meet. Foreground away from all of them is assigned region by region, by
distance, appearance and size: to an object near by, to one that was lost, or to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import cv2
import numpy as np

from adapters.optical_flow import warp

NOBODY = -1
"""Label of foreground that belongs to no given object."""

FAR = 1e4
"""Distance to something that is nowhere."""

EDGE = 0.04
"""Distance, relative to an object's size, that counts as much as one unit of appearance."""

DOUBT = 2.0
"""Largest log-likelihood ratio that the appearance of one pixel may contribute."""

REACH = 0.15
"""How far beyond its carried mask an object takes foreground pixel by pixel, relative to its
size."""

NEAR, DRIFT = 1.0, 0.1
"""Scale of the distance of a new region, relative to the object's size; it grows by the
second with every frame that the object has been lost."""

GROWTH = 1.5
"""Times its usual area that an object may have before a further region is implausible."""

CLAIM = 0.15
"""Score from which a region becomes an object's."""

MISTAKEN, CERTAIN = 0.7, 0.4
"""A piece of an object goes to a neighbour whose appearance is at least as similar to it as
the second, and of which the object's own similarity is less than the first."""

TELLING = 0.3
"""Similarity to the given appearance below which a frame teaches nothing about an object."""

LOST_SHARE = 0.02
"""An object with less than this share of its usual area in the foreground is lost."""

STILL_THERE = 0.8
"""Share of a carried mask that must look more like the object than like the background for
the object to be there without foreground."""

RATE = 0.1
"""At which appearance, usual area and support follow the present frame."""

SMALLEST = 12
"""Pixels below which a region is noise."""


class Appearance:
    """Colour and texture of a frame, as one histogram bin per pixel.

    Lab colour in 12 x 12 x 12 bins, times three levels of local contrast.
    """

    COLOURS, LEVELS = 12, (4.0, 12.0)

    def __init__(self, frame: np.ndarray):
        lab = cv2.cvtColor(frame, cv2.COLOR_RGB2LAB).astype(np.float32)
        light = lab[..., 0]
        mean = cv2.blur(light, (7, 7))
        spread = np.sqrt(np.maximum(cv2.blur(light * light, (7, 7)) - mean * mean, 0.0))
        bins = np.digitize(spread, self.LEVELS)
        # a and b are centred at 128 and hardly ever more than 60 from it.
        for channel, low, span in ((0, 0.0, 256.0), (1, 68.0, 120.0), (2, 68.0, 120.0)):
            place = (lab[..., channel] - low) * (self.COLOURS / span)
            bins = bins * self.COLOURS + place.clip(0, self.COLOURS - 1).astype(np.intp)
        self._bins = bins

    def histogram(self, mask: np.ndarray) -> np.ndarray:
        """Of the pixels of ``(h, w) bool``, blurred along the colours, with sum 1."""
        shape = (len(self.LEVELS) + 1, *[self.COLOURS] * 3)
        counts = np.bincount(self._bins[mask], minlength=int(np.prod(shape)))
        smooth = counts.reshape(shape).astype(np.float32)
        for axis in (1, 2, 3):
            ends = np.pad(smooth, [(1, 1) if i == axis else (0, 0) for i in range(4)])
            low, high = (np.take(ends, range(k, k + self.COLOURS), axis) for k in (0, 2))
            smooth = 0.5 * smooth + 0.25 * (low + high)
        return (smooth / max(float(smooth.sum()), 1e-6)).reshape(-1)

    def log_likelihood(self, histogram: np.ndarray) -> np.ndarray:
        """``(h, w) float32``: mean over 5 x 5 pixels of the logarithm of a histogram."""
        return cv2.blur(np.log(histogram + 1e-5).astype(np.float32)[self._bins], (5, 5))


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Bhattacharyya coefficient of two histograms, in [0, 1]."""
    return float(np.sqrt(one * other).sum())


@dataclass
class _Thing:
    """What is remembered of an object, or of the foreground that is nobody's.

    given     histogram on the frame on which it was given; None for nobody
    recent    histogram of late
    usual     area in pixels that it usually has
    support   share of it that the foreground usually covers
    place     (y, x) of its middle when it was last in the foreground
    lost      frames since then
    """

    given: np.ndarray | None
    recent: np.ndarray
    usual: float
    support: float = 1.0
    place: tuple[float, float] = (0.0, 0.0)
    lost: int = 0

    @property
    def size(self) -> float:
        return max(float(np.sqrt(self.usual)), 6.0)

    @property
    def appearance(self) -> np.ndarray:
        return self.recent if self.given is None else 0.5 * (self.given + self.recent)


class Identities:
    """The objects of one video: `step` for every frame in order, `add` where masks are given.

    Of a frame that has passed only labels and a few numbers per object are kept.
    """

    def __init__(self, height: int, width: int):
        self._labels = np.zeros((height, width), dtype=np.int16)
        self._objects: list[_Thing] = []
        self._nobody: _Thing | None = None
        self._background: np.ndarray | None = None

    def add(self, planes: np.ndarray, frame: np.ndarray, foreground: np.ndarray) -> None:
        """New objects on the frame that was stepped last.

        planes       ``(K, h, w) float32`` in [0, 1]: their given masks
        frame        ``(h, w, 3) uint8`` RGB
        foreground   ``(h, w) float32`` in [0, 1]
        """
        look, solid = Appearance(frame), foreground > 0.5
        for plane in planes:
            mask = plane > min(0.5, float(plane.max()) / 2)
            area = max(float(mask.sum()), 1.0)
            seen = float((solid & mask).sum()) / area
            histogram = look.histogram(mask)
            thing = _Thing(histogram, histogram, area, seen, _middle(mask))
            self._objects.append(thing)
            self._labels[mask] = len(self._objects)
        rest = solid & (self._labels <= 0)
        # Without the rim that a foreground has around a given mask.
        rest = cv2.morphologyEx(rest.astype(np.uint8), cv2.MORPH_OPEN, _square(5)) > 0
        self._labels[rest] = NOBODY
        self._learn(self._labels, look)

    def step(self, frame: np.ndarray, foreground: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """Split the next frame: ``(N, h, w) float32``, the sum is at most 1.

        frame        ``(h, w, 3) uint8`` RGB
        foreground   ``(h, w) float32`` in [0, 1]
        flow         ``(h, w, 2) float32`` from this frame to the previous one
        """
        count = len(self._objects)
        if count == 0:
            return np.zeros((0, *foreground.shape), dtype=np.float32)
        look, solid = Appearance(frame), foreground > 0.5
        things = self._things()
        before = np.stack([self._labels == key for key in things]).astype(np.float32)
        carried = dict(zip(things, warp(before, flow) > 0.5, strict=True))
        gaps = {key: _distance(mask) for key, mask in carried.items()}

        labels = self._nearest(things, gaps, look, solid)
        rest = solid & (labels == 0)
        labels[rest] = NOBODY
        self._assign_regions(labels, rest, gaps, look)
        self._correct_pieces(labels, look)
        hidden = self._hidden(labels, carried, look, solid)
        self._follow(labels, hidden, look, solid)
        self._labels = np.where(labels != 0, labels, hidden)

        planes = np.zeros((count, *foreground.shape), dtype=np.float32)
        for key, thing in enumerate(self._objects, 1):
            planes[key - 1] = foreground * (labels == key)
            planes[key - 1] += (1.0 - thing.support) * (1.0 - foreground) * (hidden == key)
        return planes

    def _things(self) -> dict[int, _Thing]:
        """Label -> what it stands for."""
        things = dict(enumerate(self._objects, 1))
        return things | ({NOBODY: self._nobody} if self._nobody else {})

    def _nearest(
        self,
        things: dict[int, _Thing],
        gaps: dict[int, np.ndarray],
        look: Appearance,
        solid: np.ndarray,
    ) -> np.ndarray:
        """Labels of the foreground within reach of what was carried there; 0 elsewhere."""
        liking = np.stack([look.log_likelihood(thing.appearance) for thing in things.values()])
        liking = np.maximum(liking - liking.max(axis=0), -DOUBT)
        cost = np.empty_like(liking)
        for place, (key, thing) in enumerate(things.items()):
            near = gaps[key] <= REACH * thing.size + 2
            cost[place] = np.where(near, gaps[key] / (EDGE * thing.size) - liking[place], FAR)
        keys = np.array(list(things), dtype=np.int16)
        return np.where(solid & (cost.min(axis=0) < FAR), keys[cost.argmin(axis=0)], 0)

    def _assign_regions(
        self, labels: np.ndarray, rest: np.ndarray, gaps: dict[int, np.ndarray], look: Appearance
    ) -> None:
        """Give regions of nobody's foreground to objects, in place, the largest first.

        Those in ``rest`` are new and may be any object's; the others were nobody's before and
        can only be an object that is lost.
        """
        for mask, area in _regions(labels == NOBODY):
            fresh = bool((rest & mask).sum() > 0.5 * area)
            if area < SMALLEST:
                labels[mask] = 0 if fresh else NOBODY
                continue
            candidates = {k: t for k, t in enumerate(self._objects, 1) if fresh or t.lost}
            if not candidates:
                continue
            histogram, middle = look.histogram(mask), _middle(mask)
            scores = {}
            for key, thing in candidates.items():
                gap, near = float(gaps[key][mask].min()), NEAR
                if thing.lost:
                    gap = float(np.hypot(*np.subtract(middle, thing.place)))
                    near += DRIFT * thing.lost
                growth = (area + float((labels == key).sum())) / (GROWTH * thing.usual)
                plausible = np.exp(-(max(0.0, np.log(growth)) ** 2))
                close = np.exp(-gap / (near * thing.size))
                scores[key] = similarity(histogram, thing.appearance) * close * plausible
            best = max(scores, key=scores.__getitem__)
            if scores[best] > CLAIM:
                labels[mask] = best

    def _correct_pieces(self, labels: np.ndarray, look: Appearance) -> None:
        """Hand pieces of objects to the neighbour that they look like, in place."""
        things = self._things()
        for key, thing in enumerate(self._objects, 1):
            for mask, area in _regions(labels == key):
                ring = cv2.dilate(mask.astype(np.uint8), _square(5)) > mask
                around = set(np.unique(labels[ring]).tolist()) & things.keys() - {key}
                if area < SMALLEST or not around:
                    continue
                histogram = look.histogram(mask)
                alike = {k: similarity(histogram, things[k].appearance) for k in around}
                best = max(alike, key=alike.__getitem__)
                own = similarity(histogram, thing.appearance)
                if alike[best] > CERTAIN and own < MISTAKEN * alike[best]:
                    labels[mask] = best

    def _hidden(
        self,
        labels: np.ndarray,
        carried: dict[int, np.ndarray],
        look: Appearance,
        solid: np.ndarray,
    ) -> np.ndarray:
        """Labels of objects that are where they were carried to, though not in the foreground."""
        hidden = np.zeros_like(labels)
        if self._background is None:
            return hidden
        behind = look.log_likelihood(self._background)
        for key, thing in enumerate(self._objects, 1):
            rest = carried[key] & ~solid
            if not rest.any() or (thing.lost and (labels == key).any()):
                continue
            there = look.log_likelihood(thing.appearance)[rest] > behind[rest]
            if there.mean() > STILL_THERE:
                hidden[rest] = key
        return hidden

    def _follow(
        self, labels: np.ndarray, hidden: np.ndarray, look: Appearance, solid: np.ndarray
    ) -> None:
        """Update what is remembered of the objects; ``labels`` of lost ones are cleared."""
        for key, thing in enumerate(self._objects, 1):
            mask = labels == key
            area, unseen = float(mask.sum()), float((hidden == key).sum())
            if unseen:
                thing.support += RATE * (area / (area + unseen) - thing.support)
            elif area:
                thing.support += RATE * (1.0 - thing.support)
            if area < max(LOST_SHARE * thing.usual, 1.0):
                labels[mask] = NOBODY
                thing.lost += 1
                continue
            thing.lost = 0
            thing.place = _middle(mask)
            thing.usual += RATE * (area + unseen - thing.usual)
            histogram = look.histogram(mask)
            assert thing.given is not None
            if similarity(histogram, thing.given) > TELLING:
                thing.recent = (1 - RATE) * thing.recent + RATE * histogram
        self._learn(np.where(labels != 0, labels, hidden), look)

    def _learn(self, labels: np.ndarray, look: Appearance) -> None:
        """The appearance of nobody's foreground and of the background."""
        mask = labels == NOBODY
        if mask.any():
            self._nobody = _Thing(None, look.histogram(mask), float(mask.sum()))
        now = look.histogram(labels == 0)
        if self._background is None:
            self._background = now
        self._background = (1 - RATE) * self._background + RATE * now


def _regions(mask: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Connected regions and their areas, the largest first; pixels that touch are connected."""
    labels, count = cc3d.connected_components(mask, connectivity=8, return_N=True)
    areas = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
    return [(labels == place + 1, int(areas[place])) for place in np.argsort(-areas, kind="stable")]


def _distance(mask: np.ndarray) -> np.ndarray:
    """Pixels to the nearest pixel of ``mask``; `FAR` if it has none."""
    if not mask.any():
        return np.full(mask.shape, FAR, dtype=np.float32)
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)


def _middle(mask: np.ndarray) -> tuple[float, float]:
    """Centre of mass (y, x)."""
    y, x = np.nonzero(mask)
    return (float(y.mean()), float(x.mean())) if len(y) else (0.0, 0.0)


def _square(side: int) -> np.ndarray:
    return np.ones((side, side), dtype=np.uint8)
