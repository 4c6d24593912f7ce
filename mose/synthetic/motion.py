"""Smooth functions of time: how things move, and when they are away.

Everything is a closed function of the frame's time, so a clip of any length needs no
stored path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Wave:
    """A constant and a few sinusoids: ``offset + sum(a * sin(w * t + p))``."""

    offset: float = 0.0
    terms: tuple[tuple[float, float, float], ...] = ()

    def __call__(self, t: float) -> float:
        value = self.offset
        for amplitude, frequency, phase in self.terms:
            value += amplitude * math.sin(frequency * t + phase)
        return value


def wave(
    rng: np.random.Generator,
    amplitude: float,
    period: tuple[float, float],
    terms: int = 2,
    offset: float = 0.0,
) -> Wave:
    """A random `Wave` within ``offset ± amplitude``; periods in time units, log-uniform."""
    if amplitude == 0:
        return Wave(offset)
    draws = rng.random((terms, 3))
    weights = draws[:, 0] + 0.3
    weights *= amplitude / weights.sum()
    low, high = math.log(period[0]), math.log(period[1])
    return Wave(
        offset,
        tuple(
            (float(w), 2 * math.pi / math.exp(low + d[1] * (high - low)), 2 * math.pi * d[2])
            for w, d in zip(weights, draws.tolist(), strict=True)
        ),
    )


def pacing(rng: np.random.Generator, strength: float) -> Wave:
    """A time shift that makes motion pause and burst; add it to the time.

    Its slope stays above -1, so that time never runs backwards.
    """
    period = float(rng.uniform(15, 60))
    amplitude = 0.9 * strength * float(rng.random()) * period / (2 * math.pi)
    return Wave(0.0, ((amplitude, 2 * math.pi / period, float(rng.uniform(0, 2 * math.pi))),))


def ease(x: float) -> float:
    """0 below 0, 1 above 1, and in between a rise with no jump in speed or acceleration."""
    x = min(max(x, 0.0), 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


@dataclass(frozen=True, slots=True)
class Absence:
    """When something is away: the value rises from 0 to 1, stays, and falls again; ``cycle``
    repeats it.

    Times are frame indices, not time units, so that short clips see it whole too.
    ``start`` < 0 means that it is away from the beginning (``late`` objects).
    """

    start: float
    rise: float
    hold: float
    cycle: float

    def __call__(self, frame: float) -> float:
        """How far away, in [0, 1], at a frame index."""
        if frame <= self.start:
            return 0.0
        since = (frame - self.start) % self.cycle
        return ease(since / self.rise) - ease((since - self.rise - self.hold) / self.rise)

    def returning(self, frame: float) -> bool:
        """Whether the way back is nearer than the way out."""
        return (frame - self.start) % self.cycle > self.rise + self.hold / 2

    def count(self, frame: float) -> int:
        """How many absences began before this frame."""
        return 0 if frame <= self.start else 1 + int((frame - self.start) // self.cycle)


def absence(rng: np.random.Generator, frames: int, step: float) -> Absence:
    """An `Absence` that fits into a clip of ``frames`` frames where possible.

    Long clips repeat it. ``step`` is the number of time units in a frame: quick clips
    have short absences.
    """
    span = float(np.clip(frames - 2, 5, rng.uniform(22, 50) / max(step, 0.2)))
    rise = span * float(rng.uniform(0.22, 0.3))
    hold = span * float(rng.uniform(0.12, 0.3))
    length = 2 * rise + hold
    start = float(rng.uniform(0.4, max(0.6, min(frames - 1 - length, 60.0))))
    cycle = max(length + 40.0, float(rng.uniform(70, 140)))
    return Absence(start, rise, hold, cycle)
