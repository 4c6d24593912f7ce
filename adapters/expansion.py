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
    winner = logits.argmax(axis=0)
    loses = winner[None] != np.arange(logits.shape[0])[:, None, None]
    return np.where(loses, np.minimum(logits, SUPPRESSED_LOGIT), logits)


def labels_of(probabilities: np.ndarray, object_ids: tuple[int, ...]) -> np.ndarray:
    """Ids ``(height, width) uint8``: the most probable of background and objects.

    Ties go to the background first, then to the earlier object.
    """
    if probabilities.shape[0] == 0:
        return np.zeros(probabilities.shape[1:], dtype=np.uint8)
    best = probabilities.argmax(axis=0)
    top = np.take_along_axis(probabilities, best[None], axis=0)[0]
    background = 1.0 - probabilities.sum(axis=0)
    ids = np.asarray(object_ids, dtype=np.uint8)[best]
    ids[background >= top] = 0
    return ids
