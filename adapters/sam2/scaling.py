"""Mask scaling and local configurations (MASSeg, 2nd of the 4th PVUW MOSE challenge).

SAM 2 feeds its own masks back into memory as ``sigmoid(logit) * scale + bias``. The published
networks were trained with 20 / -10. Both numbers can be changed at test time: ``-bias / scale``
is the probability that counts as neither foreground nor background, ``scale`` the contrast.
Several such configurations of one network can run side by side on the features of one image
encoder; `merged` makes one answer of theirs per object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from stseg.config import option

SMALL_AREA = 0.005
"""Fraction of the frame below which the given mask makes an object small (about COCO's 32 x 32
pixels in 640 x 480, doubled because MOSE frames are larger)."""

DENSE_OBJECTS = 5
"""Objects in a video from which on it is dense: twice the mean of MOSE v1 (2.4)."""

ABSENT_LOGIT = -1024.0
"""What SAM 2 gives every pixel of an object that it takes to be absent."""

_LOGIT_LIMIT = 16.0


@dataclass(frozen=True)
class Scaling:
    """One configuration."""

    sigmoid_scale: float = option(20.0, doc="Masks enter memory multiplied by it.", above=0)
    sigmoid_bias: float = option(-10.0, doc="Added to masks on their way into memory.")
    objects: str = option(
        "all",
        doc="Which objects it follows: all, small (given mask under 0.5 % of the frame) or "
        "dense (5 objects or more in the video so far).",
        choices=("all", "small", "dense"),
    )
    weight: float = option(1.0, doc="Its say where several are merged.", above=0)

    def fits(self, area: float, objects: int) -> bool:
        """Whether it follows an object.

        area      of its given mask, as a fraction of the frame
        objects   given in the video up to this one's first frame
        """
        if self.objects == "small":
            return area < SMALL_AREA
        return self.objects == "all" or objects >= DENSE_OBJECTS


@dataclass(frozen=True)
class ObjectMask:
    """What one configuration says of one object on one frame.

    logits       ``(h, w) float32``
    visible      whether the object is there: presence above one half
    presence     in [0, 1]
    confidence   in [0, 1]
    """

    logits: np.ndarray
    visible: bool
    presence: float
    confidence: float


def merged(answers: Sequence[ObjectMask], weights: Sequence[float]) -> ObjectMask:
    """One answer of several about one object.

    Whether the object is there is voted on first, each configuration with its weight and how
    sure it is: its confidence where it sees the object, one minus its presence where it does
    not. If it is there, the probabilities of those that see it are averaged with the same
    votes, and turned back into logits.
    """
    if len(answers) == 1:
        return answers[0]
    sees = np.array([answer.visible for answer in answers])
    votes = np.asarray(weights, dtype=np.float64) * [
        answer.confidence if seen else 1.0 - answer.presence
        for answer, seen in zip(answers, sees, strict=True)
    ]
    presence = float(np.average([answer.presence for answer in answers], weights=weights))
    for_it = votes[sees].sum()
    if for_it <= votes[~sees].sum():
        absent = np.full_like(answers[0].logits, ABSENT_LOGIT)
        return ObjectMask(absent, False, min(presence, 0.5), 0.0)
    share = np.where(sees, votes, 0.0) / for_it
    probability = np.zeros(answers[0].logits.shape, dtype=np.float64)
    for answer, part in zip(answers, share, strict=True):
        if part:
            probability += part * expit(answer.logits.astype(np.float64))
    agreed = for_it / votes.sum()
    confidence = float(agreed * sum(p * a.confidence for p, a in zip(share, answers, strict=True)))
    logits = logit(probability).clip(-_LOGIT_LIMIT, _LOGIT_LIMIT).astype(np.float32)
    return ObjectMask(logits, True, max(presence, 0.5), confidence)
