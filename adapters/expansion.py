"""Expands a model's native output to masks at the video's size.

Every network predicts at a low resolution, and its reference implementation has its own
order of upsampling, squashing and making objects exclusive. The order changes the masks,
so a frame carries its native map together with the rule. Plain numpy and OpenCV: reading
a stored prediction needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

RULES = (
    "labels",
    "probability",
    "exclusive",
    "upsample-aggregate",
    "aggregate-upsample",
)
"""
labels               native ``(h, w) uint8`` ids, nearest neighbour
probability          native ``(N, h, w)`` in [0, 1], sum at most 1; bilinear
exclusive            native logits; bilinear to the video's size, the largest logit of a
                     pixel keeps it, then sigmoid (SAM2)
upsample-aggregate   native logits at stride 4; x4, sigmoid, aggregate, softmax, cut the
                     padding, bilinear (XMem)
aggregate-upsample   native logits at stride 4; sigmoid, aggregate, x4, softmax, cut the
                     padding, bilinear (Cutie, LiVOS)
"""

AGGREGATE_EPS = 1e-7
SUPPRESSED_LOGIT = -10.0
"""What SAM2 lowers the logits of the losing objects to."""


@dataclass(frozen=True)
class Expansion:
    """How a native map becomes probabilities.

    rule      one of `RULES`
    padded    (height, width) at which the network worked, padding included, for the two
              rules of stride-4 logits; None: the native size
    window    (top, left, height, width) of the image inside ``padded``; None: all of it
    """

    rule: str
    padded: tuple[int, int] | None = None
    window: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"unknown expansion rule {self.rule}")


def expand(native: np.ndarray, expansion: Expansion, height: int, width: int) -> np.ndarray:
    """Probabilities ``(N, height, width) float32`` in [0, 1]; the background has the rest to 1.

    ``native`` is ``(N, h, w) float32`` in the form that ``expansion.rule`` says (not
    "labels": ids have no probabilities of their own, see `FrameMasks.probabilities`).
    """
    if native.shape[0] == 0:
        return np.zeros((0, height, width), dtype=np.float32)
    if expansion.rule == "exclusive":
        return sigmoid(exclusive(resize(native, height, width)))
    if expansion.rule == "probability":
        inner = native
    elif expansion.rule == "upsample-aggregate":
        assert expansion.padded is not None
        inner = softmax(aggregate(sigmoid(resize(native, *expansion.padded))))[1:]
    else:
        assert expansion.padded is not None
        inner = softmax(resize(aggregate(sigmoid(native)), *expansion.padded))[1:]
    if expansion.window is not None:
        top, left, inner_height, inner_width = expansion.window
        inner = inner[:, top : top + inner_height, left : left + inner_width]
    return resize(inner, height, width)


def resize(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, corners not aligned, no antialiasing: ``(C, h, w)`` -> ``(C, height, width)``."""
    if planes.shape[1:] == (height, width):
        return np.ascontiguousarray(planes, dtype=np.float32)
    out = np.empty((planes.shape[0], height, width), dtype=np.float32)
    for plane, target in zip(planes, out, strict=True):
        source = np.ascontiguousarray(plane, dtype=np.float32)
        cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return out


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logistic function in float32, without overflow."""
    return 0.5 * (np.tanh(0.5 * logits.astype(np.float32, copy=False)) + 1.0)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the first axis."""
    shifted = np.exp(logits - logits.max(axis=0, keepdims=True))
    return shifted / shifted.sum(axis=0, keepdims=True)


def aggregate(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds of background and objects ``(N + 1, h, w)`` from ``(N, h, w)`` probabilities.

    Soft aggregation (STM, Oh et al. 2019, Eq. 2-3): the background is where no object is.
    """
    background = np.prod(1.0 - probabilities, axis=0, keepdims=True)
    joint = np.concatenate([background, probabilities]).astype(np.float32)
    joint = joint.clip(AGGREGATE_EPS, 1.0 - AGGREGATE_EPS)
    return np.log(joint / (1.0 - joint))


def exclusive(logits: np.ndarray) -> np.ndarray:
    """Each pixel to the object of its largest logit; the others' are lowered to -10."""
    if logits.shape[0] == 1:
        return logits
    winner, _ = largest(logits)
    suppressed = np.minimum(logits, SUPPRESSED_LOGIT)
    for index, (plane, target) in enumerate(zip(logits, suppressed, strict=True)):
        np.copyto(target, plane, where=winner == index)
    return suppressed


def largest(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of ``(N, ...)`` planes is the largest, ``uint8``, the first of equal ones; its values.

    For up to 255 planes; several times as fast as ``argmax`` over the first axis.
    """
    top = planes[0].copy()
    index = np.zeros(top.shape, dtype=np.uint8)
    for number, plane in enumerate(planes[1:], 1):
        index[plane > top] = number
        np.maximum(top, plane, out=top)
    return index, top


def labels_of(probabilities: np.ndarray, object_ids: tuple[int, ...]) -> np.ndarray:
    """Ids ``(height, width) uint8``: the most probable of background and objects.

    Ties go to the background first, then to the earlier object.
    """
    if probabilities.shape[0] == 0:
        return np.zeros(probabilities.shape[1:], dtype=np.uint8)
    best, top = largest(probabilities)
    background = 1.0 - probabilities.sum(axis=0)
    ids = np.asarray(object_ids, dtype=np.uint8)[best]
    ids[background >= top] = 0
    return ids


class Places:
    """Some pixels of a frame, and what bilinear sampling there needs of a map.

    height, width   of the frame
    rows, columns   ``(P,) int`` pixel coordinates in it

    The corners and weights are the same for all members whose maps have one size, and are computed
    once.
    """

    def __init__(self, height: int, width: int, rows: np.ndarray, columns: np.ndarray):
        self.size, self.rows, self.columns = (height, width), rows, columns
        self._corners: dict[tuple[int, int], Corners] = {}

    def __len__(self) -> int:
        return self.rows.size

    def corners(self, height: int, width: int) -> Corners:
        """In a map of ``height`` x ``width`` that covers the frame."""
        if (height, width) not in self._corners:
            top, bottom, down = _taps(self.rows, self.size[0], height)
            left, right, across = _taps(self.columns, self.size[1], width)
            top *= width
            bottom *= width
            corners = [top + left, top + right, bottom + left, bottom + right]
            touched = np.zeros(height * width, dtype=bool)
            for corner in corners:
                touched[corner] = True
            sites = np.flatnonzero(touched)
            order = np.empty(height * width, dtype=np.intp)
            order[sites] = np.arange(len(sites))
            self._corners[height, width] = Corners(
                *np.divmod(sites, width), [order[corner] for corner in corners], down, across
            )
        return self._corners[height, width]


@dataclass(frozen=True)
class Corners:
    """The K pixels of a map between which P places lie.

    rows, columns   ``(K,) int`` of the map's pixels, ascending
    places          upper left, upper right, lower left, lower right: ``(P,) int`` in [0, K)
    down, across    ``(P,) float32`` in [0, 1): weights of the lower and the right ones
    """

    rows: np.ndarray
    columns: np.ndarray
    places: Sequence[np.ndarray]
    down: np.ndarray
    across: np.ndarray

    def sample(self, values: np.ndarray) -> np.ndarray:
        """Bilinear samples ``(C, P)`` of ``(C, K)`` values."""
        above, right, below, lower = (values.take(place, axis=1) for place in self.places)
        right -= above
        right *= self.across
        above += right
        lower -= below
        lower *= self.across
        below += lower
        below -= above
        below *= self.down
        above += below
        return above


def expand_at(native: np.ndarray, expansion: Expansion, places: Places) -> np.ndarray:
    """`expand`, evaluated at some pixels only: ``(N, P) float32``.

    Only the part of the native map that these pixels need is computed.
    """
    if native.shape[0] == 0 or not len(places):
        return np.zeros((native.shape[0], len(places)), dtype=np.float32)
    native = native.astype(np.float32, copy=False)
    if expansion.rule == "exclusive":
        corners = places.corners(*native.shape[1:])
        values = native[:, corners.rows, corners.columns]
        return sigmoid(exclusive(corners.sample(values)))
    padded = expansion.padded or native.shape[1:]
    top, left, inner_height, inner_width = expansion.window or (0, 0, *padded)
    corners = places.corners(inner_height, inner_width)
    rows, columns = corners.rows + top, corners.columns + left
    return corners.sample(_inner(native, expansion.rule, padded, rows, columns))


def _taps(points: np.ndarray, size_out: int, size_in: int) -> tuple[np.ndarray, ...]:
    """The two source indices of each point along one axis, and the weight of the second."""
    every = np.arange(size_out)  # the points are many, and lie on few rows and columns
    source = np.maximum((every + 0.5) * (size_in / size_out) - 0.5, 0.0)
    first = np.minimum(source.astype(np.intp), size_in - 1)
    second, weight = np.minimum(first + 1, size_in - 1), (source - first).astype(np.float32)
    return first[points], second[points], weight[points]


def _inner(
    native: np.ndarray,
    rule: str,
    padded: tuple[int, ...],
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Probabilities ``(N, K)`` at some pixels of the padded size."""
    if rule == "probability":
        return native[:, rows, columns]
    step_y, rest_y = divmod(padded[0], native.shape[1])
    step_x, rest_x = divmod(padded[1], native.shape[2])
    if rest_y or rest_x:
        step_y = step_x = 1
        native = resize(native, padded[0], padded[1])
    # One native pixel more on each side makes the upsampled window equal to the whole's.
    a = max(int(rows.min()) // step_y - 1, 0)
    b = min(int(rows.max()) // step_y + 2, native.shape[1])
    c = max(int(columns.min()) // step_x - 1, 0)
    d = min(int(columns.max()) // step_x + 2, native.shape[2])
    part = native[:, a:b, c:d]
    size = ((b - a) * step_y, (d - c) * step_x)
    at = (rows - a * step_y) * size[1] + columns - c * step_x

    def here(planes: np.ndarray) -> np.ndarray:
        return resize(planes, *size).reshape(len(planes), -1).take(at, axis=1)

    if rule == "upsample-aggregate":
        odds = aggregate(sigmoid(here(part)))
    else:
        odds = here(aggregate(sigmoid(part)))
    return softmax(odds)[1:]
