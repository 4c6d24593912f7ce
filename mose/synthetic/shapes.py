"""Bodies: outlines, and the jointed parts that figures are made of.

A body lives in its own coordinates: x right, y down, about 1 unit from the centre to the
outermost point. Part 0 is the root; every other part turns about the joint by which it
hangs on its parent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mose.synthetic.motion import Wave, wave


@dataclass(slots=True)
class Part:
    """One rigid or deforming piece of a body.

    outline   (n, 2) float64, in the part's coordinates (the joint at the origin)
    splits    where further contours begin in ``outline``; they are filled even-odd
    centre    middle of the outline, and ``extent`` its half sizes: for shading and texture
    parent    index of the part it hangs on; -1 for the root
    joint     where on the parent, in the parent's coordinates
    angle     turn about the joint, radians, over time
    material  which of the body's textures it wears
    modes     (k, n): relative change of the radius of each outline point per unit of wobble
    wobble    k waves
    """

    outline: np.ndarray
    splits: tuple[int, ...] = ()
    parent: int = -1
    joint: tuple[float, float] = (0.0, 0.0)
    angle: Wave = field(default_factory=Wave)
    material: int = 0
    modes: np.ndarray | None = None
    wobble: tuple[Wave, ...] = ()
    centre: tuple[float, float] = field(init=False)
    extent: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        low, high = self.outline.min(0), self.outline.max(0)
        self.centre = (float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2)
        half = np.maximum((high - low) / 2, 0.02)
        self.extent = (float(half[0]), float(half[1]))


@dataclass(slots=True)
class Body:
    """Parts in drawing order ``order``, and the bend of the whole.

    bend    three waves (quadratic bend, travelling bend, shear) or none: applied to root
            coordinates of single-part bodies, and exactly invertible
    """

    parts: list[Part]
    order: tuple[int, ...]
    bend: tuple[Wave, Wave, Wave] | None = None

    @property
    def materials(self) -> int:
        """How many textures the body wears."""
        return 1 + max(part.material for part in self.parts)


def _ring(n: int) -> np.ndarray:
    return np.arange(n) * (2 * math.pi / n)


def fourier_outline(
    rng: np.random.Generator, roughness: float, n: int = 48, harmonics: int = 6
) -> np.ndarray:
    """A star-shaped outline ``(n, 2)`` with random Fourier coefficients and aspect."""
    theta = _ring(n)
    radius = np.ones(n)
    for k in range(1, harmonics + 1):
        amplitude, phase = roughness * rng.normal() / k**1.1, rng.uniform(0, 2 * math.pi)
        radius += amplitude * np.cos(k * theta + phase)
    radius = np.clip(radius, 0.25, 1.9)
    if rng.random() < 0.3:  # fur, leaves: a rough border
        radius *= 1 + rng.uniform(0.02, 0.12) * rng.normal(size=n)
    aspect = math.exp(rng.uniform(-0.7, 0.7))
    points = np.stack([radius * np.cos(theta), radius * np.sin(theta) * aspect], 1)
    return points / np.sqrt((points**2).sum(1)).max()


def polygon_outline(rng: np.random.Generator, n: int = 40) -> np.ndarray:
    """A polygon with three to nine corners, with sharp or rounded corners, ``(m, 2)``."""
    corners = int(rng.integers(3, 10))
    theta = np.sort(_ring(corners) + rng.uniform(-0.35, 0.35, corners) * 2 * math.pi / corners)
    radius = rng.uniform(0.45, 1.0, corners) if rng.random() < 0.6 else np.ones(corners)
    points = np.stack([np.cos(theta) * radius, np.sin(theta) * radius], 1)
    points[:, 1] *= math.exp(rng.uniform(-0.8, 0.4))
    if rng.random() < 0.5:  # corner cutting rounds it
        for _ in range(2):
            following = np.roll(points, -1, 0)
            points = np.stack([0.75 * points + 0.25 * following,
                               0.25 * points + 0.75 * following], 1).reshape(-1, 2)  # fmt: skip
    return points / np.sqrt((points**2).sum(1)).max()


def limb_outline(length: float, root: float, tip: float, n: int = 8) -> np.ndarray:
    """A tapered capsule from the origin along +x, ``(2 n, 2)``; half widths in units."""
    angles = np.linspace(math.pi / 2, 3 * math.pi / 2, n)
    start = np.stack([np.cos(angles) * root, np.sin(angles) * root], 1)
    end = np.stack([length - np.cos(angles) * tip, -np.sin(angles) * tip], 1)
    return np.concatenate([start, end])


def _moving(part: Part, rng: np.random.Generator, strength: float) -> Part:
    """Give an outline changing Fourier coefficients."""
    if strength > 0:
        x, y = (part.outline - part.centre).T
        theta = np.arctan2(y, x)
        orders = rng.integers(2, 6, 3)
        phases = rng.uniform(0, 2 * math.pi, 3)
        part.modes = np.cos(orders[:, None] * theta + phases[:, None])
        part.wobble = tuple(wave(rng, 0.22 * strength / k**0.5, (10, 70)) for k in orders)
    return part


def _swing(
    rng: np.random.Generator, rest: float, amplitude: float, frequency: float, phase: float
) -> Wave:
    """A joint: a gait plus a slower change of posture."""
    slow = wave(rng, 0.35 * abs(amplitude), (25, 120), terms=1)
    return Wave(rest, ((amplitude, frequency, phase), *slow.terms))


def blob(rng: np.random.Generator, deformation: float) -> Body:
    """One piece with an organic outline that changes and bends."""
    outline = fourier_outline(rng, float(rng.uniform(0.1, 0.4)))
    part = _moving(Part(outline), rng, deformation * float(rng.uniform(0.2, 1)))
    return Body([part], (0,), _bend(rng, deformation))


def rigid(rng: np.random.Generator, deformation: float) -> Body:
    """One polygon, sometimes with holes."""
    outline = polygon_outline(rng)
    splits: tuple[int, ...] = ()
    if rng.random() < 0.25:
        hole = polygon_outline(rng)[::-1] * rng.uniform(0.25, 0.55) + rng.uniform(-0.1, 0.1, 2)
        outline, splits = np.concatenate([outline, hole]), (len(outline),)
    return Body([Part(outline, splits)], (0,))


def swimmer(rng: np.random.Generator, deformation: float) -> Body:
    """A fish or a snake: a long body with a tail, bent by a travelling wave."""
    n = 26
    x = np.linspace(-1, 1, n)
    thick = float(rng.uniform(0.1, 0.38))
    width = thick * np.sqrt(np.clip(1 - x**2, 0, 1)) * (1.15 - 0.75 * x)
    width[-5:] = thick * rng.uniform(0.1, 1.2) * np.linspace(0.3, 1, 5)
    outline = np.concatenate([np.stack([x, -width], 1), np.stack([x, width], 1)[::-1]])
    size = max(deformation, 0.2)
    swim = Wave(0.0, ((float(rng.uniform(0.1, 0.3)) * size, float(rng.uniform(0.15, 0.6)), 0.0),))
    bend = (wave(rng, 0.35 * size, (15, 60)), swim, Wave())
    return Body([Part(outline)], (0,), bend)


def compound(rng: np.random.Generator, deformation: float) -> Body:
    """Several blobs and polygons of different materials, slightly loose: most things."""
    root = fourier_outline(rng, 0.2) if rng.random() < 0.5 else polygon_outline(rng)
    parts = [_moving(Part(root * 0.75), rng, 0.4 * deformation)]
    for _ in range(int(rng.integers(1, 5))):
        angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.75)
        piece = fourier_outline(rng, 0.25, n=28) if rng.random() < 0.6 else polygon_outline(rng)
        piece = piece * rng.uniform(0.2, 0.5)
        parts.append(
            Part(
                piece,
                parent=0,
                joint=(float(distance * math.cos(angle)), float(distance * math.sin(angle))),
                angle=wave(rng, 0.5 * deformation, (20, 90), offset=float(rng.uniform(0, 6))),
                material=int(rng.integers(0, 3)),
            )
        )
    order = [int(i) for i in rng.permutation(len(parts))]
    return Body(parts, tuple(order))


def vehicle(rng: np.random.Generator, deformation: float) -> Body:
    """A long rigid body with a cabin, windows and turning wheels."""
    height = float(rng.uniform(0.15, 0.32))
    hull = np.array([[-1, 0.1], [-0.95, -0.6], [-0.5, -1], [0.4, -1], [0.9, -0.5], [1, 0.3],
                     [0.9, 1], [-0.9, 1]])  # fmt: skip
    hull = (hull + rng.normal(0, 0.08, hull.shape)) * (0.9, height)
    left, right = sorted(rng.uniform(-0.7, 0.7, 2))
    right = max(right, left + 0.4)
    roof = -height - float(rng.uniform(0.1, 0.3))
    cabin = np.array([[left, -0.8 * height], [left + 0.12, roof], [right - 0.15, roof],
                      [right, -0.8 * height]])  # fmt: skip
    window = (cabin - cabin.mean(0)) * (0.75, 0.6) + cabin.mean(0)
    parts = [Part(hull), Part(cabin, parent=0), Part(window, parent=0, material=2)]
    roll = float(rng.uniform(0.1, 0.5)) * (1 if rng.random() < 0.5 else -1)
    wheel = float(rng.uniform(0.14, 0.26))
    spokes = np.stack([np.cos(_ring(16)), np.sin(_ring(16))], 1) * wheel
    for x in (-0.6, 0.6) if rng.random() < 0.8 else (-0.65, 0.1, 0.6):
        turning = Wave(0.0, ((3.0, roll / 3, 0.0),))
        parts.append(Part(spokes, parent=0, joint=(x, height), angle=turning, material=1))
    return Body(parts, tuple(range(len(parts))))


def walker(rng: np.random.Generator, deformation: float) -> Body:
    """Two-legged and upright: head, arms and legs of two pieces each."""
    pace = float(rng.uniform(0.12, 0.5))
    phase = float(rng.uniform(0, 2 * math.pi))
    reach = float(rng.uniform(0.15, 0.8)) * max(deformation, 0.25)
    thick = float(rng.uniform(0.7, 1.5))
    torso = fourier_outline(rng, 0.08, n=24, harmonics=4)
    torso = torso / np.abs(torso).max(0) * (0.15 * thick + 0.03, 0.3)
    head = fourier_outline(rng, 0.08, n=18, harmonics=4)
    head = head / np.abs(head).max(0) * (0.1, 0.13) - (0, 0.12)
    down = math.pi / 2
    parts = [
        Part(torso, angle=wave(rng, 0.15, (20, 80))),
        Part(head, parent=0, joint=(0, -0.28), angle=wave(rng, 0.3, (20, 80)), material=1),
    ]
    for side in (0.0, math.pi):
        for joint, rest, upper, lower, width, clothes in (
            ((0.02, 0.24), down, 0.32, 0.36, 0.075, 2),
            ((0.0, -0.22), down, 0.26, 0.26, 0.052, 0),
        ):
            swing = phase + side + (math.pi if clothes == 0 else 0)
            bent = 0.35 * reach if clothes == 2 else -0.6 * reach
            hip = len(parts)
            parts.append(
                Part(
                    limb_outline(upper, width * thick, width * thick * 0.8),
                    parent=0,
                    joint=joint,
                    angle=_swing(rng, rest, reach, pace, swing),
                    material=clothes,
                )
            )
            parts.append(
                Part(
                    limb_outline(lower, width * thick * 0.8, width * thick * 0.55),
                    parent=hip,
                    joint=(upper, 0.0),
                    angle=_swing(rng, bent, 0.6 * reach, pace, swing + 1.2),
                    material=clothes if rng.random() < 0.5 else 1,
                )
            )
    return Body(parts, (2, 3, 4, 5, 0, 1, 6, 7, 8, 9))


def quadruped(rng: np.random.Generator, deformation: float) -> Body:
    """Four-legged: trunk, neck and head, four legs of two pieces, a tail."""
    pace = float(rng.uniform(0.15, 0.6))
    phase = float(rng.uniform(0, 2 * math.pi))
    reach = float(rng.uniform(0.2, 0.7)) * max(deformation, 0.25)
    length, depth = float(rng.uniform(0.38, 0.6)), float(rng.uniform(0.14, 0.3))
    trunk = fourier_outline(rng, 0.1, n=30, harmonics=4)
    trunk = trunk / np.abs(trunk).max(0) * (length, depth)
    leg, width = float(rng.uniform(0.22, 0.34)), float(rng.uniform(0.035, 0.075))
    rise = float(rng.uniform(-1.2, 0.0))
    neck = float(rng.uniform(0.12, 0.35))
    head = fourier_outline(rng, 0.12, n=18, harmonics=4) * (0.2, 0.13) + (0.1, 0)
    parts = [
        Part(trunk, angle=wave(rng, 0.12, (15, 60))),
        Part(limb_outline(neck, 0.12, 0.08), parent=0, joint=(0.8 * length, -0.4 * depth),
             angle=_swing(rng, rise, 0.2, pace, 0.0)),
        Part(head, parent=1, joint=(neck, 0), angle=wave(rng, 0.4, (15, 60), offset=-0.7 * rise),
             material=int(rng.integers(0, 2))),
        Part(limb_outline(float(rng.uniform(0.15, 0.45)), 0.04, 0.02), parent=0,
             joint=(-0.95 * length, -0.3 * depth), angle=_swing(rng, 2.6, 0.5, pace * 0.7, 0.0)),
    ]  # fmt: skip
    for k, x in enumerate((0.72, 0.6, -0.62, -0.74)):
        swing = phase + (0.0, math.pi, math.pi, 0.0)[k] + float(rng.uniform(-0.4, 0.4))
        hip = len(parts)
        colour = 2 if rng.random() < 0.3 else 0
        parts.append(Part(limb_outline(leg, width * 1.4, width), parent=0,
                          joint=(x * length, 0.6 * depth), material=colour,
                          angle=_swing(rng, math.pi / 2, reach, pace, swing)))  # fmt: skip
        knee = _swing(rng, 0.2 * reach, 0.7 * reach, pace, swing + 1)
        parts.append(Part(limb_outline(leg, width, width * 0.7), parent=hip, joint=(leg, 0),
                          material=colour, angle=knee))  # fmt: skip
    return Body(parts, (6, 7, 10, 11, 3, 0, 1, 2, 4, 5, 8, 9))


def flapper(rng: np.random.Generator, deformation: float) -> Body:
    """A bird or an insect: a small trunk and two to four swinging wings."""
    trunk = fourier_outline(rng, 0.12, n=28) * (0.55, 0.3)
    parts = [_moving(Part(trunk), rng, 0.3 * deformation)]
    pace = float(rng.uniform(0.3, 1.1))
    for side in (-1, 1) if rng.random() < 0.7 else (-1, 1, -1, 1):
        wing = fourier_outline(rng, 0.2, n=28) * (0.45, 0.2) + (0.42, 0)
        beat = _swing(rng, side * float(rng.uniform(0.7, 1.6)), side * 0.7, pace, 0.0)
        parts.append(Part(wing, parent=0, angle=beat, material=1,
                          joint=(float(rng.uniform(-0.15, 0.15)), 0.0)))  # fmt: skip
    return Body(parts, (*range(1, len(parts), 2), 0, *range(2, len(parts), 2)))


def creature(rng: np.random.Generator, deformation: float) -> Body:
    """A random tree of limbs: arms, tentacles, cranes, plants."""
    parts = [
        _moving(Part(fourier_outline(rng, 0.2, n=32) * rng.uniform(0.2, 0.5)), rng, deformation)
    ]
    thick = float(rng.uniform(0.04, 0.13))
    reach = max(deformation, 0.2)
    for k in range(int(rng.integers(2, 6))):
        direction = float(rng.uniform(0, 2 * math.pi))
        base = 0.7 * parts[0].extent[0]
        parent, joint = 0, (base * math.cos(direction), base * math.sin(direction))
        rest = direction
        for _ in range(int(rng.integers(1, 3))):
            length = float(rng.uniform(0.2, 0.45))
            angle = wave(rng, reach * float(rng.uniform(0.2, 0.9)), (12, 60), offset=rest)
            parts.append(Part(limb_outline(length, thick, thick * 0.7), parent=parent, joint=joint,
                              angle=angle, material=k % 3))  # fmt: skip
            parent, joint, rest = len(parts) - 1, (length, 0.0), float(rng.uniform(-0.6, 0.6))
    order = list(range(len(parts)))
    order.insert(int(rng.integers(0, len(parts))), order.pop(0))
    return Body(parts, tuple(order))


def slab(rng: np.random.Generator, deformation: float) -> Body:
    """A post, trunk or wall that runs out of the frame."""
    width = float(rng.uniform(0.1, 0.9))
    rough = rng.normal(0, 0.03, 12)
    y = np.linspace(-6, 6, 12)
    outline = np.concatenate(
        [np.stack([-width + rough, y], 1), np.stack([width + rough[::-1], y[::-1]], 1)]
    )
    return Body([Part(outline)], (0,))


def grating(rng: np.random.Generator, deformation: float) -> Body:
    """A fence, railing or branches: many thin bars in one part."""
    bars = int(rng.integers(3, 8))
    thick, angle = float(rng.uniform(0.03, 0.1)), float(rng.normal(0, 0.3))
    rings = []
    for k in range(bars):
        x = (k - (bars - 1) / 2) * 2.4 / bars
        bar = np.array([[x - thick, -2.5], [x + thick, -2.5], [x + thick, 2.5], [x - thick, 2.5]])
        rings.append(bar + rng.normal(0, 0.05, bar.shape))
    points = np.concatenate(rings) @ np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    return Body([Part(points, tuple(range(4, 4 * bars, 4)))], (0,))


def bush(rng: np.random.Generator, deformation: float) -> Body:
    """Leaves: many small contours in one part, with gaps between them."""
    rings, splits, total = [], [], 0
    for _ in range(int(rng.integers(10, 36))):
        ring = fourier_outline(rng, 0.15, n=9, harmonics=3) * rng.uniform(0.12, 0.4)
        rings.append(ring + rng.normal(0, 0.42, 2))
        total += len(ring)
        splits.append(total)
    return Body([Part(np.concatenate(rings), tuple(splits[:-1]))], (0,), _bend(rng, 0.3))


def _bend(rng: np.random.Generator, deformation: float) -> tuple[Wave, Wave, Wave]:
    size = 0.45 * deformation
    return wave(rng, size, (15, 80)), wave(rng, 0.4 * size, (12, 50)), wave(rng, size, (20, 90))


Maker = Callable[[np.random.Generator, float], Body]
SOLID: tuple[Maker, ...] = (blob, blob, rigid, swimmer, compound, compound, vehicle)
JOINTED: tuple[Maker, ...] = (walker, walker, quadruped, quadruped, flapper, creature)
OCCLUDERS: tuple[Maker, ...] = (slab, slab, grating, bush, bush, compound, rigid)
