"""How sure a network is, from its own masks: the definition all network members share."""

from __future__ import annotations

import numpy as np

from adapters.expansion import Expansion, aggregate, exclusive, sigmoid, softmax


def presence_and_confidence(
    native: np.ndarray, expansion: Expansion
) -> tuple[np.ndarray, np.ndarray]:
    """Presence and confidence ``(N,) float32`` in [0, 1] of the N objects of a native map.

    presence     the largest probability of the object at any position
    confidence   the mean probability over the positions that the object wins against
                 background and other objects; 0 where it wins none

    Taken at the native resolution, without the padding. Not for rule "labels".
    """
    if native.shape[0] == 0:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    probabilities = native_probabilities(native, expansion)
    best = probabilities.max(axis=0)
    won = (probabilities == best) & (best > 1 - probabilities.sum(axis=0))
    count = won.sum(axis=(1, 2))
    total = (probabilities * won).sum(axis=(1, 2))
    confidence = total / np.maximum(count, 1)
    presence = probabilities.max(axis=(1, 2))
    return presence.clip(0, 1).astype(np.float32), confidence.clip(0, 1).astype(np.float32)


def native_probabilities(native: np.ndarray, expansion: Expansion) -> np.ndarray:
    """Probabilities ``(N, h, w)`` of a native map at its own resolution, padding cut off."""
    if expansion.rule == "exclusive":
        return sigmoid(exclusive(native))
    inner = native
    if expansion.window is not None:
        padded = expansion.padded or native.shape[1:]
        top, left, height, width = expansion.window
        step_y, step_x = padded[0] / native.shape[1], padded[1] / native.shape[2]
        rows = slice(int(top / step_y), int(np.ceil((top + height) / step_y)))
        columns = slice(int(left / step_x), int(np.ceil((left + width) / step_x)))
        inner = native[:, rows, columns]
    if expansion.rule == "probability":
        return inner.astype(np.float32, copy=False)
    return softmax(aggregate(sigmoid(inner)))[1:]
