"""Draw a scene at random: the objects, their motion, their occluders, and the camera."""

from __future__ import annotations

import math

import numpy as np

from mose.synthetic import shapes, textures
from mose.synthetic.background import backdrop
from mose.synthetic.config import SyntheticConfig
from mose.synthetic.motion import Absence, Wave, absence, pacing, wave
from mose.synthetic.render import Skin
from mose.synthetic.scene import Camera, Figure, Scene

_LARGE = 0.28
"""Half size of objects, in units, that leave instead of hiding: the screen would be too big."""
REVEAL_FRAMES = 6
"""A late object takes about this many frames to come in."""


def build(
    rng: np.random.Generator,
    config: SyntheticConfig,
    frames: int,
    height: int,
    width: int,
    objects: int,
) -> Scene:
    """Draw a scene. Objects get the ids 1..objects."""
    step = float(rng.uniform(*config.frame_step)) * config.speed
    ramp = textures.palette(rng)
    high, wide = round(height * 1.5), round(width * 1.5)
    scene = Scene(
        height,
        width,
        step,
        _camera(rng, config),
        backdrop(rng, high, wide, ramp),
        ripple=float(rng.uniform(0.5, 2.5)) if rng.random() < 0.15 * config.deformation else 0.0,
        light=wave(rng, 0.8 * config.light, (40, 200), offset=float(rng.uniform(0, 6.3))),
        shutter=config.motion_blur * float(rng.random()),
        shadows=float(rng.uniform(0, 0.6)) if rng.random() < 0.5 else 0.0,
    )
    wanted = [_object(rng, config, scene, ramp, k + 1) for k in range(objects)]
    if objects > 1 and rng.random() < config.lookalikes:
        for k in range(1, objects):
            if rng.random() < 0.7:
                _resemble(rng, config, wanted[k], wanted[0])
    others = []
    for _ in range(int(rng.integers(0, config.distractors + 1))):
        figure = _object(rng, config, scene, ramp, 0)
        if rng.random() < 0.5:
            _resemble(rng, config, figure, wanted[int(rng.integers(objects))])
        others.append(figure)
    props = [_prop(rng, config, scene, ramp) for _ in range(int(rng.integers(0, config.props + 1)))]
    for figure in (*wanted, *others):
        shelter = _absence(rng, config, scene, figure, frames, ramp)
        props += [shelter] if shelter else []
    if config.late > 0:
        for figure in wanted[1:]:
            if rng.random() < config.late:
                _come_late(rng, figure, frames)
    scene.figures = sorted([*wanted, *others, *props], key=lambda f: f.depth)
    return scene


def _camera(rng: np.random.Generator, config: SyntheticConfig) -> Camera:
    strength = config.camera * (1.0 if rng.random() < 0.8 else 0.1)
    shake = 0.02 * strength * float(rng.random()) ** 2
    travel = 0.045 * strength * float(rng.random()) ** 1.5 if rng.random() < 0.6 else 0.0
    heading = float(rng.choice((0.0, math.pi))) + float(rng.normal(0, 0.3))
    return Camera(
        x=wave(rng, 0.25 * strength * float(rng.random()), (30, 160)),
        y=wave(rng, 0.12 * strength * float(rng.random()), (30, 160)),
        log_zoom=wave(rng, 0.3 * strength * float(rng.random()), (40, 160)),
        roll=wave(rng, 0.25 * strength * float(rng.random()) ** 2, (30, 120)),
        shake_x=wave(rng, shake, (3, 14), terms=3),
        shake_y=wave(rng, shake, (3, 14), terms=3),
        travel_x=travel * math.cos(heading),
        travel_y=travel * math.sin(heading),
        surge=pacing(rng, 0.8),
    )


def _size(rng: np.random.Generator, config: SyntheticConfig) -> float:
    """Half the diameter of an object, in units."""
    low, high = (math.log(v) for v in config.object_size)
    draw = float(rng.random())
    draw = draw / 3 if rng.random() < config.small else draw
    return math.exp(low + draw * (high - low)) / 2


def _skin(
    rng: np.random.Generator,
    config: SyntheticConfig,
    scene: Scene,
    radius: float,
    ramp: np.ndarray,
    count: int,
) -> Skin:
    """``count`` materials; decorated, coloured like the background, or changing, by chance."""
    pixels = 2 * radius * scene.unit
    side = int(np.clip(pixels * 1.3, 40, 192))
    hidden = rng.random() < config.camouflage
    ramps = [textures.palette(rng, around=ramp if hidden else None) for _ in range(2)]
    ramps.append(ramps[0] if rng.random() < 0.3 else textures.palette(rng))
    zoom = side / textures.SIZE * float(rng.uniform(0.7, 1.8))

    def material(k: int) -> np.ndarray:
        image = textures.texture(rng, ramps[k], side, side, zoom)
        if rng.random() < 0.6:  # limbs, clothes, windows, marks: strong edges inside
            other = textures.texture(rng, ramps[(k + 1) % 3], side, side, zoom)
            largest = side * float(rng.uniform(0.15, 0.5))
            image = textures.blotches(rng, [image, other], int(rng.integers(5, 36)), largest)
        return image

    materials = [material(k) for k in range(count)]
    others = None
    if rng.random() < 0.5 * config.turning:
        others = [material(0), *materials[1:]]
    return Skin(
        materials,
        others,
        texel=side / 2.4,
        relief=float(rng.random()) if rng.random() < 0.75 else 0.0,
    )


def _object(
    rng: np.random.Generator,
    config: SyntheticConfig,
    scene: Scene,
    ramp: np.ndarray,
    label: int,
) -> Figure:
    """A labelled object, or with label 0 a moving distractor."""
    radius = _size(rng, config)
    jointed = rng.random() < config.articulated
    radius *= 1.3 if jointed else 1.0  # they are thin
    makers = shapes.JOINTED if jointed else shapes.SOLID
    body = makers[int(rng.integers(len(makers)))](rng, config.deformation)
    roam = float(rng.uniform(0.02, 0.3))
    upright = jointed or rng.random() < 0.4
    half_x, half_y = scene.width / scene.unit / 2, scene.height / scene.unit / 2
    spin = float(rng.normal(0, 0.25)) if upright else float(rng.uniform(0, 2 * math.pi))
    whirl = (0.25 if upright else float(rng.choice((0.2, 0.6, 2.0)))) * float(rng.random())
    return Figure(
        body,
        _skin(rng, config, scene, radius, ramp, body.materials),
        label,
        depth=float(rng.uniform(1, 2)),
        x=wave(rng, roam, (25, 150), terms=3, offset=float(rng.uniform(-0.75, 0.75)) * half_x),
        y=wave(rng, 0.6 * roam, (20, 150), terms=3, offset=float(rng.uniform(-0.7, 0.7)) * half_y),
        log_size=wave(rng, 0.5 * float(rng.random()), (30, 150), offset=math.log(radius)),
        spin=wave(rng, whirl, (20, 120), offset=spin),
        yaw=wave(rng, 1.6 * config.turning * float(rng.random()), (30, 150)),
        mix=wave(rng, 0.9, (40, 160), terms=1, offset=0.4),
        pace=pacing(rng, 1.0),
    )


def _resemble(
    rng: np.random.Generator, config: SyntheticConfig, figure: Figure, model: Figure
) -> None:
    """Make a figure look like another: its texture, its shape, or both."""
    kind = rng.random()
    if kind < 0.75:
        figure.skin = model.skin
    if kind > 0.35:
        figure.body = model.body
        size = model.log_size.offset + float(rng.normal(0, 0.2))
        figure.log_size = Wave(size, figure.log_size.terms)
        # The same gait at another time; the same body may not bend in step.
        figure.pace = Wave(float(rng.uniform(0, 200)), figure.pace.terms)


def _prop(
    rng: np.random.Generator, config: SyntheticConfig, scene: Scene, ramp: np.ndarray
) -> Figure:
    """Draw a piece of scenery, in front of or behind the objects."""
    maker = shapes.OCCLUDERS[int(rng.integers(len(shapes.OCCLUDERS)))]
    near = rng.random() < 0.55
    radius = float(rng.uniform(0.06, 0.3))
    if maker is shapes.slab:
        radius *= 0.6
    half_x, half_y = scene.width / scene.unit / 2, scene.height / scene.unit / 2
    sweep = float(rng.uniform(0.1, 0.8)) if rng.random() < 0.3 else 0.0
    body = maker(rng, config.deformation)
    return Figure(
        body,
        _skin(rng, config, scene, max(radius, 0.15), ramp, body.materials),
        0,
        depth=float(rng.uniform(2, 3)) if near else float(rng.uniform(0, 1)),
        x=wave(rng, sweep, (50, 160), offset=float(rng.uniform(-1.1, 1.1)) * half_x),
        y=Wave(float(rng.uniform(-0.9, 0.9)) * half_y),
        log_size=Wave(math.log(radius)),
        spin=wave(rng, 0.05, (20, 80), offset=float(rng.normal(0, 0.15))),
        yaw=Wave(),
        mix=Wave(-1.0),
        pace=Wave(),
        parallax=float(rng.uniform(1.0, 1.5)) if near else float(rng.uniform(0.75, 1.0)),
        swept=True,
    )


def _absence(
    rng: np.random.Generator,
    config: SyntheticConfig,
    scene: Scene,
    figure: Figure,
    frames: int,
    ramp: np.ndarray,
) -> Figure | None:
    """Let a figure leave the frame, or hide behind something that is made for it: the shelter."""
    draw = rng.random()
    size = math.exp(figure.log_size.offset)
    away = draw < config.leave + config.hide and figure.label
    if draw < config.leave or (away and size > _LARGE):
        figure.leave = absence(rng, frames, scene.step)
        side = float(rng.choice((0.0, math.pi)))  # most things leave sideways
        figure.exits = tuple(
            float(v) if rng.random() < 0.25 else side + float(rng.normal(0, 0.35))
            for v in rng.uniform(0, 2 * math.pi, 6)
        )
    elif away:
        shelter = _prop(rng, config, scene, ramp)
        maker = (shapes.slab, shapes.rigid, shapes.blob)[int(rng.integers(3))]
        shelter.body = maker(rng, 0.0)
        shelter.depth = float(rng.uniform(2, 3))
        grow = 2.2 if maker is not shapes.slab else 2.0 / shelter.body.parts[0].extent[0]
        shelter.log_size = Wave(math.log(size * grow * float(rng.uniform(0.75, 1.2))))
        shelter.swept = False
        shelter.parallax = 1.0
        figure.hide = absence(rng, frames, scene.step)
        figure.shelter = shelter
        return shelter
    return None


def _come_late(rng: np.random.Generator, figure: Figure, frames: int) -> None:
    """Keep a figure outside the frame at first, once."""
    seen = max(2.0, float(rng.uniform(0.15, 0.6)) * frames)
    rise = min(float(REVEAL_FRAMES), max(1.0, seen - 1))
    figure.hide = figure.shelter = None
    figure.leave = Absence(start=-2 * rise, rise=rise, hold=seen, cycle=math.inf)
    angle = float(rng.choice((0.0, math.pi))) + float(rng.normal(0, 0.4))
    figure.exits = (angle,)
