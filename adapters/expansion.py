"""From what a model gives natively to masks at the video's size.

Every network predicts at a low resolution, and its reference implementation has its own
order of upsampling, squashing and making objects exclusive. The order changes the masks,
so a frame carries its native map together with the rule. Plain numpy and OpenCV: reading
a stored prediction needs no torch.
"""

from __future__ import annotations

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
    """Probabilities ``(N, height, width) float32`` in [0, 1]; background is the rest to 1.

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
    winner, _ = _largest(logits)
    suppressed = np.minimum(logits, SUPPRESSED_LOGIT)
    for index, (plane, target) in enumerate(zip(logits, suppressed, strict=True)):
        np.copyto(target, plane, where=winner == index)
    return suppressed


def _largest(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    best, top = _largest(probabilities)
    background = 1.0 - probabilities.sum(axis=0)
    ids = np.asarray(object_ids, dtype=np.uint8)[best]
    ids[background >= top] = 0
    return ids


def expand_at(
    native: np.ndarray,
    expansion: Expansion,
    height: int,
    width: int,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """`expand`, evaluated at some pixels only: ``(N, P) float32``.

    rows, columns   ``(P,) int`` pixel coordinates in the ``height`` x ``width`` frame

    Only the part of the native map that these pixels touch is worked on.
    """
    if native.shape[0] == 0 or rows.size == 0:
        return np.zeros((native.shape[0], rows.size), dtype=np.float32)
    if expansion.rule == "exclusive":
        logits = _sample(
            native, _taps(rows, height, native.shape[1]), _taps(columns, width, native.shape[2])
        )
        return sigmoid(exclusive(logits))
    padded = expansion.padded or native.shape[1:]
    top, left, inner_height, inner_width = expansion.window or (0, 0, *padded)
    down = _taps(rows, height, inner_height)
    across = _taps(columns, width, inner_width)
    window = (
        int(down[0].min()) + top,
        int(down[1].max()) + top + 1,
        int(across[0].min()) + left,
        int(across[1].max()) + left + 1,
    )
    inner = _inner(native, expansion.rule, padded, window)
    shifted_down = (down[0] + top - window[0], down[1] + top - window[0], down[2])
    shifted_across = (across[0] + left - window[2], across[1] + left - window[2], across[2])
    return _sample(inner, shifted_down, shifted_across)


Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


def _taps(points: np.ndarray, size_out: int, size_in: int) -> Taps:
    """The two source indices of each point along one axis, and the weight of the second."""
    source = np.maximum((points + 0.5) * (size_in / size_out) - 0.5, 0.0)
    first = np.minimum(source.astype(np.intp), size_in - 1)
    return first, np.minimum(first + 1, size_in - 1), (source - first).astype(np.float32)


def _sample(planes: np.ndarray, down: Taps, across: Taps) -> np.ndarray:
    """Bilinear samples ``(C, P)`` of ``(C, h, w)``."""
    flat = planes.reshape(planes.shape[0], -1)
    stride = planes.shape[2]
    y0, y1, fy = down
    x0, x1, fx = across
    upper, lower = y0 * stride, y1 * stride
    above = flat.take(upper + x0, axis=1)
    above += fx * (flat.take(upper + x1, axis=1) - above)
    below = flat.take(lower + x0, axis=1)
    below += fx * (flat.take(lower + x1, axis=1) - below)
    above += fy * (below - above)
    return above


def _inner(
    native: np.ndarray, rule: str, padded: tuple[int, ...], window: tuple[int, int, int, int]
) -> np.ndarray:
    """Probabilities ``(N, ...)`` of a window (top, bottom, left, right) of the padded size."""
    y0, y1, x0, x1 = window
    if rule == "probability":
        return np.ascontiguousarray(native[:, y0:y1, x0:x1], dtype=np.float32)
    step_y, rest_y = divmod(padded[0], native.shape[1])
    step_x, rest_x = divmod(padded[1], native.shape[2])
    if rest_y or rest_x:
        step_y = step_x = 1
        native = resize(native, padded[0], padded[1])
    # One native pixel more on each side makes the upsampled window equal to the whole's.
    a, b = max(y0 // step_y - 1, 0), min(-(-y1 // step_y) + 1, native.shape[1])
    c, d = max(x0 // step_x - 1, 0), min(-(-x1 // step_x) + 1, native.shape[2])
    part = native[:, a:b, c:d]
    size = ((b - a) * step_y, (d - c) * step_x)
    cut = np.s_[:, y0 - a * step_y : y1 - a * step_y, x0 - c * step_x : x1 - c * step_x]
    if rule == "upsample-aggregate":
        odds = aggregate(sigmoid(resize(part, *size)[cut]))
    else:
        odds = resize(aggregate(sigmoid(part)), *size)[cut]
    return softmax(odds)[1:]
