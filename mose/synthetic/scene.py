"""A clip before it is drawn: figures and camera, and where everything is in a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mose.synthetic.motion import Absence, Wave, ease
from mose.synthetic.render import Light, Pose, Shot, Skin
from mose.synthetic.shapes import Body


@dataclass(slots=True)
class Figure:
    """A body with a skin, a path and a role.

    label      object id, or 0 for what is not labelled
    depth      larger is nearer; drawn in this order
    parallax   how far it moves with the camera: 1 for the plane of the objects
    swept      moves with the scenery when the camera travels along
    leave      when it is outside the frame, and towards where (one angle per absence)
    hide       when it is behind the figure ``shelter``
    """

    body: Body
    skin: Skin
    label: int
    depth: float
    x: Wave
    y: Wave
    log_size: Wave
    spin: Wave
    yaw: Wave
    mix: Wave
    pace: Wave
    parallax: float = 1.0
    swept: bool = False
    leave: Absence | None = None
    exits: tuple[float, ...] = ()
    hide: Absence | None = None
    shelter: Figure | None = None


@dataclass(slots=True)
class Camera:
    """Pan, zoom, roll, shake, and travel along with the objects; units of the frame's size."""

    x: Wave
    y: Wave
    log_zoom: Wave
    roll: Wave
    shake_x: Wave
    shake_y: Wave
    travel_x: float
    travel_y: float
    surge: Wave

    def travelled(self, time: float) -> tuple[float, float]:
        """How far the scenery has moved past."""
        along = time + self.surge(time)
        return self.travel_x * along, self.travel_y * along


@dataclass(slots=True)
class Scene:
    """A clip before it is drawn. ``step`` is time units per frame."""

    height: int
    width: int
    step: float
    camera: Camera
    backdrop: np.ndarray
    ripple: float
    figures: list[Figure] = field(default_factory=list)
    light: Wave = field(default_factory=Wave)
    shutter: float = 0.0
    shadows: float = 0.0

    @property
    def unit(self) -> float:
        """Pixels of one unit of length: the geometric mean of the sides."""
        return math.sqrt(self.height * self.width)

    def light_at(self, time: float) -> Light:
        angle = self.light(time)
        return Light(math.cos(angle), math.sin(angle), 0.9)

    def pose(self, figure: Figure, frame: float) -> Pose:
        """A figure's pose at a frame index, with its smear while the shutter is open."""
        pose = self._still(figure, frame)
        if self.shutter > 0:
            before = self._still(figure, frame - 0.5)
            gain = 2 * self.shutter
            pose.smear = ((pose.x - before.x) * gain, (pose.y - before.y) * gain)
            length, longest = math.hypot(*pose.smear), 0.12 * self.unit
            if length > longest:
                pose.smear = (
                    pose.smear[0] * longest / length,
                    pose.smear[1] * longest / length,
                )
        return pose

    def shot(self, figure: Figure, frame: int) -> Shot:
        """How a figure is seen at a frame index."""
        return Shot(
            self.pose(figure, frame),
            self.light_at(frame * self.step),
            self.own_time(figure, frame),
            self.height,
            self.width,
        )

    def own_time(self, figure: Figure, frame: float) -> float:
        """The figure's own time, which its path, gait and outline follow."""
        time = frame * self.step
        return time + figure.pace(time)

    def camera_smear(self, frame: float) -> tuple[float, float]:
        """How far the picture moves while the shutter is open, pixels."""
        if self.shutter == 0:
            return 0.0, 0.0
        now, before = (
            (
                self.camera.x(t) + self.camera.shake_x(t),
                self.camera.y(t) + self.camera.shake_y(t),
            )
            for t in (frame * self.step, (frame - 0.5) * self.step)
        )
        gain = 2 * self.shutter * self.unit
        smear = (now[0] - before[0]) * gain, (now[1] - before[1]) * gain
        limit = 0.06 * self.unit / max(math.hypot(*smear), 1e-9)
        return (smear[0] * limit, smear[1] * limit) if limit < 1 else smear

    def _stage(self, figure: Figure, frame: float) -> tuple[float, float]:
        """Position on the stage, in units, before the camera."""
        time = frame * self.step
        own = self.own_time(figure, frame)
        x, y = figure.x(own), figure.y(own)
        if figure.swept:
            dx, dy = self.camera.travelled(time)
            x, y = _wrap(x - dx * figure.parallax), _wrap(y - dy * figure.parallax)
        if figure.hide is not None and figure.shelter is not None:
            away = figure.hide(frame)
            if away > 0:
                sx, sy = self._stage(figure.shelter, frame)
                x, y = x + away * (sx - x), y + away * (sy - y)
        return x, y

    def _still(self, figure: Figure, frame: float) -> Pose:
        time = frame * self.step
        own = self.own_time(figure, frame)
        camera = self.camera
        x, y = self._stage(figure, frame)
        zoom = math.exp(camera.log_zoom(time) * figure.parallax)
        roll = camera.roll(time)
        px = (x - camera.x(time) * figure.parallax - camera.shake_x(time)) * zoom
        py = (y - camera.y(time) * figure.parallax - camera.shake_y(time)) * zoom
        cos, sin = math.cos(roll), math.sin(roll)
        unit = self.unit
        sx = self.width / 2 + (px * cos - py * sin) * unit
        sy = self.height / 2 + (px * sin + py * cos) * unit
        scale = math.exp(figure.log_size(own)) * zoom * unit
        if figure.leave is not None:
            away = figure.leave(frame)
            if away > 0:
                sx, sy = self._outside(figure, frame, away, sx, sy, scale)
        yaw = figure.yaw(own)
        return Pose(
            sx,
            sy,
            scale,
            figure.spin(own) + roll,
            squash=0.4 + 0.6 * abs(math.cos(yaw)),
            slide=(0.7 * yaw, 0.25 * yaw),
            mix=ease(figure.mix(own)),
        )

    def _outside(
        self, figure: Figure, frame: float, away: float, x: float, y: float, scale: float
    ) -> tuple[float, float]:
        """On the way to, or back from, a place where nothing of the figure is seen."""
        assert figure.leave is not None
        turn = figure.leave.count(frame) * 2 + figure.leave.returning(frame)
        angle = figure.exits[turn % len(figure.exits)]
        cos, sin = math.cos(angle), math.sin(angle)
        reach = 1.5 * scale + 6
        # From the middle along the angle to the border, and on until all of it is outside.
        border = min(
            (self.width / 2 + reach) / max(abs(cos), 1e-6),
            (self.height / 2 + reach) / max(abs(sin), 1e-6),
        )
        tx, ty = self.width / 2 + cos * border, self.height / 2 + sin * border
        return x + away * (tx - x), y + away * (ty - y)

    def view(self, frame: float) -> np.ndarray:
        """The 2 x 3 matrix from the screen to the backdrop, pixels."""
        time = frame * self.step
        camera = self.camera
        far = 0.75
        zoom = math.exp(-camera.log_zoom(time) * far)
        roll = camera.roll(time)
        dx, dy = camera.travelled(time)
        x = (camera.x(time) + dx) * far + camera.shake_x(time)
        y = (camera.y(time) + dy) * far + camera.shake_y(time)
        high, wide = self.backdrop.shape[:2]
        a, b = math.cos(roll) * zoom, math.sin(roll) * zoom
        cx, cy = self.width / 2, self.height / 2
        # The backdrop is mirrored at its borders: whole periods are taken off, because
        # OpenCV keeps coordinates in 16 bits.
        ox = (wide / 2 + x * self.unit) % (2 * wide)
        oy = (high / 2 + y * self.unit) % (2 * high)
        return np.array([[a, b, ox - a * cx - b * cy], [-b, a, oy + b * cx - a * cy]])


def _wrap(value: float, span: float = 3.0) -> float:
    """Wrap a position, so that scenery that has gone by appears again: a value in [-span / 2, span
    / 2)."""
    return (value + span / 2) % span - span / 2
