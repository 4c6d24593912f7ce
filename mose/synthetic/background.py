"""What lies behind the objects: one large picture per clip, seen through the camera."""

from __future__ import annotations

import cv2
import numpy as np

from mose.synthetic import textures


def backdrop(rng: np.random.Generator, height: int, width: int, ramp: np.ndarray) -> np.ndarray:
    """A background picture ``(height, width, 3) uint8`` in one of several manners.

    clutter     dead leaves of several materials (foliage, crowds, rooms)
    landscape   bands of different materials, as sky, wall, grass and water are
    surface     one material, as water, sand and lawn are
    blurred     any of these, out of focus
    """
    side = min(height, width)
    ramps = [ramp, textures.palette(rng), textures.palette(rng, around=ramp)]
    kind = rng.random()
    if kind < 0.55:
        materials = [textures.texture(rng, ramps[k % 3], height, width, 1.0) for k in range(4)]
        count = int(rng.integers(20, 160))
        image = textures.blotches(rng, materials, count, side * float(rng.uniform(0.15, 0.5)))
    elif kind < 0.85:
        image = _landscape(rng, height, width, ramps)
    else:
        image = textures.texture(rng, ramp, height, width, float(rng.uniform(0.5, 2.0)))
    upper, lower = (float(v) for v in rng.uniform(0.7, 1.25, 2))
    ramp_y = np.linspace(upper, lower, height, dtype=np.float32)[:, None, None]
    image = np.clip(image * ramp_y, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        return cv2.GaussianBlur(image, (0, 0), side * float(rng.uniform(0.004, 0.025)))
    return image


def _landscape(
    rng: np.random.Generator, height: int, width: int, ramps: list[np.ndarray]
) -> np.ndarray:
    """Two to four bands with uneven borders, and some clutter along them."""
    image = textures.texture(rng, ramps[1], height, width, 3.0)
    if rng.random() < 0.6:  # a sky: smooth, light
        image = cv2.addWeighted(cv2.GaussianBlur(image, (0, 0), 9), 0.4, image, 0.0, 120)
    levels = np.sort(rng.uniform(0.15, 0.85, int(rng.integers(1, 4))))
    xs = np.linspace(0, width, 24)
    for k, level in enumerate(levels):
        rough = np.cumsum(rng.normal(0, height * 0.02 * rng.random(), 24))
        ys = np.clip(level * height + rough - rough.mean(), 0, height)
        ring = np.concatenate([np.stack([xs, ys], 1), [[width, height], [0, height]]])
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 255)
        band = textures.texture(rng, ramps[k % 3], height, width, 1.0)
        if rng.random() < 0.5:
            other = textures.texture(rng, ramps[(k + 1) % 3], height, width, 1.0)
            band = textures.blotches(rng, [band, other], int(rng.integers(10, 60)), height * 0.12)
        cv2.copyTo(band, mask, image)
    return image
