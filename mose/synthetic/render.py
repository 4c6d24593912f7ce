"""Draw a posed body: anti-aliased outline, texture that moves with it, shading, blur."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from mose.synthetic.shapes import Body, Part

Affine = tuple[float, float, float, float, float, float]
"""Row-major 2 x 3 matrix (a, b, x, c, d, y)."""


@dataclass(slots=True)
class Skin:
    """The surface of a body.

    materials    textures (S, S, 3) uint8, one per material
    others       textures that the materials turn into and back, or none
    texel        texture pixels per unit of the body
    relief       how strongly the parts look rounded, [0, 1]
    """

    materials: list[np.ndarray]
    others: list[np.ndarray] | None
    texel: float
    relief: float


@dataclass(slots=True)
class Pose:
    """Where a body is in one frame, in pixels and radians.

    squash     foreshortening of its width, (0, 1]
    slide      shift of the texture, in units of the body (an out-of-plane turn)
    mix        weight of the skin's other textures, [0, 1]
    smear      movement while the shutter is open, (dx, dy) pixels
    """

    x: float
    y: float
    scale: float
    angle: float
    squash: float = 1.0
    slide: tuple[float, float] = (0.0, 0.0)
    mix: float = 0.0
    smear: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class Light:
    """Direction (unit vector on the screen) and strength of the light that shades bodies."""

    x: float
    y: float
    strength: float


@dataclass(slots=True)
class Shot:
    """How a body is seen in one frame.

    time            the body's own time, which its gait and outline follow
    height, width   of the frame, in pixels
    """

    pose: Pose
    light: Light
    time: float
    height: int
    width: int


@dataclass(slots=True)
class Patch:
    """A drawn body: premultiplied colour and coverage of a box of the frame.

    colour   (h, w, 3) float32, 0..255 times alpha; None when only the shape was asked for
    alpha    (h, w) float32 in [0, 1]
    """

    x: int
    y: int
    alpha: np.ndarray
    colour: np.ndarray | None
    _rows: slice = field(init=False)
    _columns: slice = field(init=False)

    def __post_init__(self) -> None:
        height, width = self.alpha.shape
        self._rows, self._columns = slice(self.y, self.y + height), slice(self.x, self.x + width)

    def over(self, image: np.ndarray) -> np.ndarray:
        """The part of ``image`` that the patch covers (a view)."""
        return image[self._rows, self._columns]


def draw(body: Body, skin: Skin | None, shot: Shot) -> Patch | None:
    """Draw a body into a patch of a frame; None where nothing of it is visible.

    Without ``skin`` only the coverage is made, which is the same to the bit.
    """
    pose = shot.pose
    polygons, frames = _place(body, pose, shot.time)
    margin = 2 + math.ceil(math.hypot(*pose.smear) / 2)
    boxes = [_box(points, margin, shot.height, shot.width) for points in polygons]
    shown = [box for box in boxes if box is not None]
    if not shown:
        return None
    left, top = min(b[0] for b in shown), min(b[1] for b in shown)
    right, bottom = max(b[2] for b in shown), max(b[3] for b in shown)
    alpha = np.zeros((bottom - top, right - left), np.float32)
    colour = None if skin is None else np.zeros((*alpha.shape, 3), np.float32)
    for k in body.order:
        box = boxes[k]
        if box is None:
            continue
        x0, y0, x1, y1 = box
        cover = _fill(polygons[k], body.parts[k].splits, box)
        view = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        below = alpha[view]
        below += cover * (1 - below)
        if skin is not None and colour is not None:
            paint = _paint(body, k, skin, shot, frames[k], box)
            region = colour[view]
            paint -= region
            paint *= three(cover)
            region += paint
    if math.hypot(*pose.smear) > 1.5:
        for plane in (alpha,) if colour is None else (alpha, colour):
            smear(plane, pose.smear)
    return Patch(left, top, alpha, colour)


def smear(image: np.ndarray, movement: tuple[float, float]) -> None:
    """Blur float32 pixels in place along a movement of (dx, dy) pixels."""
    dx, dy = movement
    radius = max(1, math.ceil(max(abs(dx), abs(dy)) / 2))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    ends = [(round((radius + s * dx / 2) * 16), round((radius + s * dy / 2) * 16)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 4)
    kernel /= kernel.sum()
    cv2.filter2D(image, -1, kernel, dst=image, borderType=cv2.BORDER_REPLICATE)


def _place(body: Body, pose: Pose, time: float) -> tuple[list[np.ndarray], list[Affine]]:
    """Outlines on the screen, and the matrix from part coordinates to the screen, per part."""
    cos, sin = math.cos(pose.angle) * pose.scale, math.sin(pose.angle) * pose.scale
    root: Affine = (cos * pose.squash, -sin, pose.x, sin * pose.squash, cos, pose.y)
    frames: list[Affine] = []
    polygons = []
    for part in body.parts:
        a, b, tx, c, d, ty = root if part.parent < 0 else frames[part.parent]
        jx, jy = part.joint
        turn = part.angle(time)
        cos, sin = math.cos(turn), math.sin(turn)
        frame = (
            a * cos + b * sin, b * cos - a * sin, a * jx + b * jy + tx,
            c * cos + d * sin, d * cos - c * sin, c * jx + d * jy + ty,
        )  # fmt: skip
        frames.append(frame)
        points = part.outline
        if part.modes is not None:
            push = np.array([w(time) for w in part.wobble]) @ part.modes
            points = (points - part.centre) * (1 + push)[:, None] + part.centre
        if body.bend is not None:
            x, y = points[:, 0], points[:, 1]
            y = y + _sag(body, x, time)
            points = np.stack([x + body.bend[2](time) * y * y, y], 1)
        a, b, tx, c, d, ty = frame
        polygons.append(points @ np.array([[a, c], [b, d]]) + (tx, ty))
    return polygons, frames


def _sag(body: Body, x: np.ndarray, time: float) -> np.ndarray:
    """The bend of the body across its length: a quadratic and a travelling wave."""
    assert body.bend is not None
    return body.bend[0](time) * (x * x - 0.3) + body.bend[1](time) * np.sin(3.5 * x - 0.35 * time)


def _box(
    points: np.ndarray, margin: int, height: int, width: int
) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of the visible part of an outline, or None."""
    low, high = points.min(0), points.max(0)
    left, top = max(0, math.floor(low[0]) - margin), max(0, math.floor(low[1]) - margin)
    right = min(width, math.ceil(high[0]) + margin + 1)
    bottom = min(height, math.ceil(high[1]) + margin + 1)
    return (left, top, right, bottom) if right > left and bottom > top else None


def _fill(
    points: np.ndarray, splits: tuple[int, ...], box: tuple[int, int, int, int]
) -> np.ndarray:
    """Anti-aliased coverage of a polygon in a box, float32 in [0, 1].

    Filled at twice the size and averaged: smoother, and the half pixel by which OpenCV's
    fill thickens outlines becomes a third of one.
    """
    x0, y0, x1, y1 = box
    size = ((x1 - x0) * 2, (y1 - y0) * 2)
    fine = np.zeros((size[1], size[0]), np.uint8)
    # 4 fractional bits; sample (i + 0.5) / 2 - 0.5 of the frame is pixel i here.
    fixed = np.rint((points - (x0, y0)) * 32 + 8)
    np.clip(fixed, -(2**24), 2**24, out=fixed)
    whole = fixed.astype(np.int32)
    rings = np.split(whole, splits) if splits else [whole]
    cv2.fillPoly(fine, rings, 255, cv2.LINE_AA, 4)
    coarse = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    return coarse.astype(np.float32) * np.float32(1 / 255)


def _paint(
    body: Body,
    index: int,
    skin: Skin,
    shot: Shot,
    frame: Affine,
    box: tuple[int, int, int, int],
) -> np.ndarray:
    """Shaded texture of a part over a box: (h, w, 3) float32.

    The map from screen to texture is smooth, so it is computed on a coarse grid and enlarged.
    """
    part: Part = body.parts[index]
    pose, light = shot.pose, shot.light
    x0, y0, x1, y1 = box
    a, b, tx, c, d, ty = frame
    det = a * d - b * c
    if abs(det) < 1e-9:
        det = 1e-9
    cell = 8 if min(x1 - x0, y1 - y0) > 24 else 4
    nx, ny = -(-(x1 - x0) // cell) + 2, -(-(y1 - y0) // cell) + 2
    sx = (np.arange(nx) - 0.5) * cell + (x0 - 0.5 - tx)
    sy = ((np.arange(ny) - 0.5) * cell + (y0 - 0.5 - ty))[:, None]
    cx, cy = part.centre
    u = (d / det * sx - cx) - b / det * sy
    v = (a / det * sy - cy) - c / det * sx
    if body.bend is not None:
        u -= body.bend[2](shot.time) * (v + cy) ** 2
        v -= _sag(body, u + cx, shot.time)
    p, q = u * (1 / part.extent[0]), v * (1 / part.extent[1])
    radius = np.minimum(p * p + q * q, 2.5)
    # Towards the rim a rounded surface turns away: its texture crowds and it darkens.
    crowd = 0.35 * skin.relief * skin.texel * radius + skin.texel
    source = skin.materials[part.material % len(skin.materials)]
    side = source.shape[0]  # parts wear different places of it, about its middle
    ox, oy = (0.5 + 0.3 * math.sin(2.4 * index)) * side, (0.5 + 0.3 * math.sin(3.7 * index)) * side
    coarse = np.empty((ny, nx, 2), np.float32)
    coarse[..., 0] = u * crowd + (pose.slide[0] * skin.texel + ox)
    coarse[..., 1] = v * crowd + (pose.slide[1] * skin.texel + oy)
    size = (nx * cell, ny * cell)
    inner = (slice(cell, cell + y1 - y0), slice(cell, cell + x1 - x0))
    if skin.others is not None and pose.mix > 0:
        other = skin.others[part.material % len(skin.others)]
        source = cv2.addWeighted(source, 1 - pose.mix, other, pose.mix, 0)
    places = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)[inner]
    paint = cv2.remap(  # type: ignore[call-overload]  # the second map may be None
        source, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    if skin.relief == 0:
        return paint.astype(np.float32)
    k = light.strength * skin.relief
    norm = 0.55 * k / math.sqrt(abs(det))
    lx, ly = (a * light.x + c * light.y) * norm, (b * light.x + d * light.y) * norm
    shade = np.clip(p * lx + q * ly - 0.3 * k * radius + (1 + 0.15 * k), 0.15, 1.9)
    shades = cv2.resize(shade.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[inner]
    return cv2.multiply(paint, three(shades), dtype=cv2.CV_32F)


def three(plane: np.ndarray) -> np.ndarray:
    """(H, W) as (H, W, 3): far quicker for OpenCV than broadcasting is for numpy."""
    return cv2.merge([plane, plane, plane])
