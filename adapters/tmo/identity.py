"""Whose foreground it is: one foreground per frame, split between the objects.

This identity step is the project's own; TMO knows one foreground and no identities. Every
object, and everything else that was ever foreground, is carried along the optical flow.
Foreground near them goes, pixel by pixel, to the nearest, with colour and texture deciding
where they meet. Foreground away from all of them is assigned region by region, by
distance, appearance and size: to an object near by, to one that was lost, or to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import cv2
import numpy as np

from adapters.shared.optical_flow import sharpen, warp

BACKGROUND, NOBODY = -1, 0
"""Labels of pixels that are not foreground, and of foreground that is no given object's. The
objects are 1, 2, ... in the order in which they were given."""

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

STRANGE = 4.0
"""Log-likelihood ratio from which pixels of an object are a piece by themselves."""

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
    BINS = COLOURS**3 * (len(LEVELS) + 1)

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
        counts = np.bincount(self._bins[mask], minlength=self.BINS).astype(np.float32)
        smooth = counts.reshape(-1, *[self.COLOURS] * 3)
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

    given     histogram on the frame on which it was given; of nobody's: of the last frame
    recent    histogram of late
    usual     area in pixels that it usually has
    support   share of it that the foreground usually covers
    place     (y, x) of its middle when it was last in the foreground
    lost      frames since then
    """

    given: np.ndarray
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
        return 0.5 * (self.given + self.recent)


class Identities:
    """The objects of one video: `step` for every frame in order, `start` where masks are given.

    Of a frame that has passed only the masks and a few numbers per object are kept.
    """

    def __init__(self, height: int, width: int):
        # Labels of pixels, and places in both of these: NOBODY, then the objects.
        self._things = [_Thing(np.zeros(Appearance.BINS), np.zeros(Appearance.BINS), 0.0)]
        self._masks = np.zeros((1, height, width), dtype=np.float32)
        self._background: np.ndarray | None = None

    def start(
        self,
        places: Sequence[int],
        planes: np.ndarray,
        frame: np.ndarray,
        foreground: np.ndarray,
    ) -> None:
        """Start objects on the frame that was stepped last, from masks.

        places       K of them: those of known objects start anew, who is further is new
        planes       ``(K, h, w) float32`` in [0, 1]: their given masks; one without a pixel says
                     that a known object is not there
        frame        ``(h, w, 3) uint8`` RGB
        foreground   ``(h, w) float32`` in [0, 1]
        """
        look, solid = Appearance(frame), foreground > 0.5
        for place, plane in zip(places, planes, strict=True):
            known = place + 1 < len(self._things)
            if known and not plane.any():
                self._things[place + 1].lost += 1
                continue
            mask = plane > min(0.5, float(plane.max()) / 2)
            area = max(float(mask.sum()), 1.0)
            seen = float((solid & mask).sum()) / area
            histogram = look.histogram(mask)
            thing = _Thing(histogram, histogram, area, seen, _middle(mask))
            self._things[place + 1 : place + 2] = [thing]
        kept = self._masks * (1.0 - planes.sum(axis=0))
        again = sum(place + 1 < len(kept) for place in places)
        kept[[place + 1 for place in places[:again]]] = planes[:again]
        self._masks = np.concatenate([kept, planes[again:]])
        labels = np.where(self._masks.max(axis=0) > 0.5, self._masks.argmax(axis=0), BACKGROUND)
        rest = solid & (labels <= NOBODY)
        # Without the rim that a foreground has around a given mask.
        rest = cv2.morphologyEx(rest.astype(np.uint8), cv2.MORPH_OPEN, _square(5)) > 0
        labels[rest] = NOBODY
        self._masks[NOBODY] = labels == NOBODY
        self._learn(labels, look)

    def step(self, frame: np.ndarray, foreground: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """Split the next frame: ``(N, h, w) float32``, the sum is at most 1.

        frame        ``(h, w, 3) uint8`` RGB
        foreground   ``(h, w) float32`` in [0, 1]
        flow         ``(h, w, 2) float32`` from this frame to the previous one
        """
        if len(self._things) == 1:
            return np.zeros((0, *foreground.shape), dtype=np.float32)
        look, solid = Appearance(frame), foreground > 0.5
        carried = sharpen(warp(self._masks, flow))
        gaps = np.stack([_distance(mask > 0.5) for mask in carried])

        liking = np.stack([look.log_likelihood(thing.appearance) for thing in self._things])
        labels = self._nearest(gaps, liking, solid)
        rest = solid & (labels == BACKGROUND)
        labels[rest] = NOBODY
        self._assign_regions(labels, rest, gaps, look)
        self._correct_pieces(labels, liking, look)
        hidden = self._hidden(labels, carried, look, solid)
        self._follow(labels, hidden, look)

        split = np.arange(len(self._things))[:, None, None] == labels
        self._masks = np.where(solid, split, hidden).astype(np.float32)
        unseen = np.array([1.0 - thing.support for thing in self._things], dtype=np.float32)
        planes = foreground * split + (1.0 - foreground) * unseen[:, None, None] * hidden
        return planes[1:]

    def _nearest(self, gaps: np.ndarray, liking: np.ndarray, solid: np.ndarray) -> np.ndarray:
        """Labels of the foreground within reach of what was carried there.

        gaps     ``(1 + N, h, w)``: distance to what was carried
        liking   ``(1 + N, h, w)``: log-likelihood of the appearance
        """
        cost = np.full_like(gaps, FAR)
        near = [i for i, gap in enumerate(gaps) if gap.min() < FAR]
        best = liking[near].max(axis=0) if near else 0.0
        for i in near:
            size = self._things[i].size
            doubt = np.minimum(best - liking[i], DOUBT)
            near = gaps[i] <= REACH * size + 2
            cost[i] = np.where(near, gaps[i] / (EDGE * size) + doubt, FAR)
        return np.where(solid & (cost.min(axis=0) < FAR), cost.argmin(axis=0), BACKGROUND)

    def _assign_regions(
        self, labels: np.ndarray, rest: np.ndarray, gaps: np.ndarray, look: Appearance
    ) -> None:
        """Give regions of nobody's foreground to objects, in place, the largest first.

        Those in ``rest`` are new and may be any object's; the others were nobody's before and
        can only be an object that is lost.
        """
        for mask, area in _regions(labels == NOBODY):
            fresh = bool((rest & mask).sum() > 0.5 * area)
            if area < SMALLEST:
                labels[mask] = BACKGROUND if fresh else NOBODY
                continue
            histogram, middle = look.histogram(mask), _middle(mask)
            best, claim = NOBODY, CLAIM
            for key, thing in enumerate(self._things[1:], 1):
                if not (fresh or thing.lost):
                    continue
                gap, near = float(gaps[key][mask].min()), NEAR
                if thing.lost:
                    gap = float(np.hypot(*np.subtract(middle, thing.place)))
                    near += DRIFT * thing.lost
                growth = (area + float((labels == key).sum())) / (GROWTH * thing.usual)
                plausible = np.exp(-(max(0.0, np.log(growth)) ** 2))
                close = np.exp(-gap / (near * thing.size))
                score = similarity(histogram, thing.appearance) * close * plausible
                if score > claim:
                    best, claim = key, score
            labels[mask] = best

    def _correct_pieces(self, labels: np.ndarray, liking: np.ndarray, look: Appearance) -> None:
        """Hand pieces of objects to the neighbour that they look like, in place.

        A piece is what is connected, or is and looks more like another thing.
        """
        for key, thing in enumerate(self._things[1:], 1):
            mine = labels == key
            strange = mine & (liking.max(axis=0) - liking[key] > STRANGE)
            for mask, area in _regions(strange) + _regions(mine):
                ring = cv2.dilate(mask.astype(np.uint8), _square(5)) > mask
                around = set(np.unique(labels[ring]).tolist()) - {key, BACKGROUND}
                if area < SMALLEST or not around:
                    continue
                histogram = look.histogram(mask)
                alike = {k: similarity(histogram, self._things[k].appearance) for k in around}
                best = max(alike, key=alike.__getitem__)
                own = similarity(histogram, thing.appearance)
                if alike[best] > CERTAIN and own < MISTAKEN * alike[best]:
                    labels[mask] = best

    def _hidden(
        self, labels: np.ndarray, carried: np.ndarray, look: Appearance, solid: np.ndarray
    ) -> np.ndarray:
        """``(1 + N, h, w)``: what of the carried masks is kept where there is no foreground.

        An object whose carried mask looks like the background there is gone, the sooner the
        more the foreground usually covers it.
        """
        hidden = np.where(solid, 0.0, carried)
        hidden[NOBODY] = 0.0
        behind = look.log_likelihood(self._background) if self._background is not None else 0.0
        for key, thing in enumerate(self._things[1:], 1):
            rest = hidden[key] > 0.5
            there = (look.log_likelihood(thing.appearance) > behind)[rest]
            back = (labels == key).sum() > rest.sum() / 2
            if (thing.lost and back) or (rest.any() and there.mean() < STILL_THERE * thing.support):
                hidden[key] = 0.0
        return hidden

    def _follow(self, labels: np.ndarray, hidden: np.ndarray, look: Appearance) -> None:
        """Update what is remembered of the objects; ``labels`` of lost ones become nobody's."""
        for key, thing in enumerate(self._things[1:], 1):
            mask = labels == key
            area, unseen = float(mask.sum()), float((hidden[key] > 0.5).sum())
            if area + unseen:
                thing.support += RATE * (area / (area + unseen) - thing.support)
            if area < max(LOST_SHARE * thing.usual, 1.0):
                labels[mask] = NOBODY
                thing.lost += 1
                continue
            thing.lost = 0
            thing.place = _middle(mask)
            thing.usual += RATE * (area + unseen - thing.usual)
            histogram = look.histogram(mask)
            if similarity(histogram, thing.given) > TELLING:
                thing.recent = (1 - RATE) * thing.recent + RATE * histogram
        self._learn(np.where(hidden.max(axis=0) > 0.5, hidden.argmax(axis=0), labels), look)

    def _learn(self, labels: np.ndarray, look: Appearance) -> None:
        """The appearance of nobody's foreground and of the background."""
        mask = labels == NOBODY
        if mask.any():
            histogram = look.histogram(mask)
            self._things[NOBODY] = _Thing(histogram, histogram, float(mask.sum()))
        now = look.histogram(labels == BACKGROUND)
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
