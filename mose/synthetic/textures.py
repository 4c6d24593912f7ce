"""Textures: a bank of tileable scalar fields, coloured by random palettes.

The bank is made once per process from a fixed seed (it is a table of constants, not
part of a clip's randomness); a clip's textures are random views of it: rotated, scaled,
warped, mixed and coloured.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

SIZE = 256
"""Side of a field of the bank, pixels. Fields tile."""

_BANK_SEED = 20220607
_COMMON_HUES = (22.0, 32.0, 45.0, 80.0, 110.0, 205.0, 220.0)


def _normal(field: np.ndarray) -> np.ndarray:
    """Any real field as uint8 with mean 128 and standard deviation about 50."""
    field = (field - field.mean()) / (field.std() + 1e-9)
    return np.clip(field * 50 + 128, 0, 255).astype(np.uint8)


def _spectral(rng: np.random.Generator, slope: float, aspect: float = 1.0) -> np.ndarray:
    """Gaussian noise with amplitude spectrum ``1 / f ** slope``: natural images have 1."""
    fy = np.fft.fftfreq(SIZE)[:, None] * aspect
    fx = np.fft.rfftfreq(SIZE)[None]
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) / radius**slope
    field = np.fft.irfft2(spectrum, (SIZE, SIZE))
    return field / field.std()


def _wrap_distance(points: np.ndarray, label: bool) -> np.ndarray:
    """Distance to the nearest of ``points`` on the torus, or that point's random value."""
    yy, xx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    best = np.full((SIZE, SIZE), np.inf, np.float32)
    value = np.zeros((SIZE, SIZE), np.float32)
    for x, y, v in points:
        dx = np.abs(xx - x)
        dy = np.abs(yy - y)
        distance = np.minimum(dx, SIZE - dx) ** 2 + np.minimum(dy, SIZE - dy) ** 2
        if label:
            value[distance < best] = v
        np.minimum(best, distance, out=best)
    return value if label else np.sqrt(best)


def _drawn(rng: np.random.Generator, count: int, kind: str) -> np.ndarray:
    """Polygons, discs or strokes of power-law sizes, drawn over each other (dead leaves)."""
    field = np.full((SIZE * 3, SIZE * 3), 128, np.uint8)
    for _ in range(count):
        x, y = (float(v) for v in rng.uniform(0, SIZE, 2))
        radius = min(5.0 / float(rng.uniform(0.04, 1)), 60.0)
        value = int(rng.integers(0, 256))
        angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 8))))
        ring = np.stack([np.cos(angles), np.sin(angles)], 1) * radius
        turn = float(rng.uniform(0, math.pi))
        for oy in (0, SIZE, 2 * SIZE):
            for ox in (0, SIZE, 2 * SIZE):
                centre = (round(x + ox), round(y + oy))
                if kind == "polygons":
                    cv2.fillPoly(field, [np.round(ring + centre).astype(np.int32)], value)
                elif kind == "discs":
                    cv2.circle(field, centre, max(1, round(radius * 0.7)), value, -1)
                else:
                    dx, dy = radius * math.cos(turn), radius * math.sin(turn)
                    end = (round(centre[0] + dx), round(centre[1] + dy))
                    cv2.line(field, centre, end, value, 1 + int(radius > 20), cv2.LINE_AA)
    return field[SIZE : 2 * SIZE, SIZE : 2 * SIZE].astype(np.float64)


@functools.cache
def bank() -> tuple[np.ndarray, ...]:
    """The fields, each ``(SIZE, SIZE) uint8`` and tileable."""
    rng = np.random.Generator(np.random.PCG64(_BANK_SEED))
    yy, xx = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    fields = [_spectral(rng, slope) for slope in (0.7, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.9)]
    fields += [_spectral(rng, 1.1, aspect) for aspect in (0.15, 0.3, 3.0, 7.0)]
    fields += [-np.abs(_spectral(rng, slope)) for slope in (1.3, 1.6, 1.9)]
    for count in (20, 60, 150):
        points = np.concatenate([rng.uniform(0, SIZE, (count, 2)), rng.random((count, 1))], 1)
        fields.append(_wrap_distance(points, label=False))
        fields.append(_wrap_distance(points, label=True) * 2 + 0.15 * _spectral(rng, 1.0))
    for kx, ky, warp in ((5, 0, 0.15), (9, 2, 0.3), (14, 3, 0.1), (6, 6, 0.5), (22, 0, 0.05)):
        phase = 2 * math.pi * (kx * xx + ky * yy) + 2 * math.pi * warp * _spectral(rng, 1.9)
        fields.append(np.tanh(2.5 * np.sin(phase)) + 0.2 * _spectral(rng, 1.0))
    for k, warp in ((4, 0.02), (7, 0.06), (12, 0.03)):
        bend = 2 * math.pi * warp * _spectral(rng, 1.9)
        checks = np.sin(2 * math.pi * k * xx + bend) * np.sin(2 * math.pi * k * yy + bend)
        fields.append(np.tanh(6 * checks) + 0.2 * _spectral(rng, 1.0))
    for rows in (8, 14):  # bricks, windows, tiles
        row = np.floor(yy * rows)
        mortar = ((yy * rows) % 1 < 0.16) | (((xx * rows / 2) + 0.5 * (row % 2)) % 1 < 0.1)
        fields.append(-1.5 * mortar + 0.4 * _spectral(rng, 0.9))
    for count, kind in (
        (200, "polygons"), (700, "polygons"), (250, "discs"), (900, "discs"),
        (600, "strokes"), (1500, "strokes"),
    ):  # fmt: skip
        fields.append(_drawn(rng, count, kind) / 60 + 0.25 * _spectral(rng, 1.0))
    for threshold in (0.6, 1.2):  # blotches and spots
        fields.append(np.tanh(8 * (_spectral(rng, 1.7) - threshold)) + 0.2 * _spectral(rng, 1.0))
    return tuple(_normal(field) for field in fields)


@functools.cache
def grain() -> np.ndarray:
    """Noise that is cut from, ``(512, 512, 3) int16`` with standard deviation 64.

    Half of it is shared by the channels and slightly soft, as a camera's is.
    """
    rng = np.random.Generator(np.random.PCG64(_BANK_SEED + 1))
    grey = rng.standard_normal((512, 512, 1)).astype(np.float32)
    colour = rng.standard_normal((512, 512, 3)).astype(np.float32)
    mixed = cv2.GaussianBlur(0.8 * grey + 0.6 * colour, (0, 0), 0.5)
    return np.round(mixed / mixed.std() * 64).astype(np.int16)


def palette(rng: np.random.Generator, around: np.ndarray | None = None) -> np.ndarray:
    """A colour ramp ``(256, 3) uint8`` through two to five anchor colours.

    Saturation is mostly low, as in photographs. ``around`` gives another palette whose
    colours are borrowed with a slight change (camouflage).
    """
    anchors = int(rng.integers(2, 6))
    if around is None:
        # Half of the hues are those of skin, earth, wood, leaves, sky and water.
        centre = rng.uniform(0, 360) if rng.random() < 0.5 else rng.choice(_COMMON_HUES)
        hue = (centre + rng.normal(0, 20, anchors)) % 360
        if rng.random() < 0.2:
            hue[0] = rng.uniform(0, 360)
        saturation = rng.beta(1.2, 2.5, anchors) * (1.0 if rng.random() < 0.6 else 0.4)
        centre, spread = rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.35)
        value = np.clip(centre + spread * rng.uniform(-1.4, 1.4, anchors), 0.04, 1)
        hsv = np.stack([hue, saturation, value], 1).astype(np.float32)[None]
        colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] * 255
    else:
        colours = around[rng.integers(0, 256, anchors)] + rng.normal(0, 8, (1, 3))
        colours = colours + rng.normal(0, 5, (anchors, 3))
    if rng.random() < 0.7:
        colours = colours[np.argsort(colours.sum(1))]
    knots = np.linspace(0, 255, anchors)
    ramp = [np.interp(np.arange(256), knots, colours[:, c]) for c in range(3)]
    return np.clip(np.stack(ramp, 1), 0, 255).astype(np.uint8)


def field(rng: np.random.Generator, height: int, width: int, zoom: float) -> np.ndarray:
    """A random view of a random field: ``(height, width) uint8``.

    ``zoom`` is the number of output pixels per field pixel, before a random factor.
    """
    source = bank()[int(rng.integers(len(bank())))]
    angle, log_zoom, squeeze, ox, oy = rng.random(5).tolist()
    zoom *= math.exp(1.6 * log_zoom - 0.8)
    angle *= 2 * math.pi
    c, s = math.cos(angle) / zoom, math.sin(angle) / zoom
    stretch = math.exp(0.8 * squeeze - 0.4)
    matrix = np.array([[c * stretch, -s, ox * SIZE], [s * stretch, c, oy * SIZE]], dtype=np.float64)
    return cv2.warpAffine(
        source,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )


def coloured(values: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    """``(H, W) uint8`` through a ``(256, 3)`` ramp: ``(H, W, 3) uint8``."""
    return cv2.LUT(cv2.merge([values, values, values]), ramp[None])


def texture(
    rng: np.random.Generator, ramp: np.ndarray, height: int, width: int, zoom: float = 1.0
) -> np.ndarray:
    """A coloured texture, ``(height, width, 3) uint8``: one or two fields, mixed."""
    image = coloured(field(rng, height, width, zoom), ramp)
    kind = rng.random()
    if kind < 0.35:  # light modulated by a second field
        shade = field(rng, height, width, zoom * 2)
        image = cv2.multiply(image, cv2.merge([shade] * 3), scale=1 / 150)
    elif kind < 0.6:  # two materials side by side
        other = coloured(field(rng, height, width, zoom), palette(rng))
        mask = cv2.threshold(field(rng, height, width, zoom * 2), 140, 255, cv2.THRESH_BINARY)[1]
        cv2.copyTo(other, mask, image)
    if rng.random() < 0.4:  # most surfaces have little contrast
        calm = float(rng.uniform(0.15, 0.6))
        flat = np.empty_like(image)
        flat[:] = ramp[int(rng.integers(256))]
        image = cv2.addWeighted(image, calm, flat, 1 - calm, 0)
    return image


def blotches(
    rng: np.random.Generator, materials: list[np.ndarray], count: int, largest: float
) -> np.ndarray:
    """Dead leaves: overlapping shapes of power-law sizes, each of one of ``materials``.

    Such pictures have the edge and power statistics of natural ones (Lee, Mumford and
    Huang, 2001). ``largest`` is the largest radius in pixels.
    """
    height, width = materials[0].shape[:2]
    index = np.zeros((height, width), np.uint8)
    tint = np.full((height, width, 3), 128, np.uint8)
    draws = rng.random((count, 12)).tolist()
    # Density 1 / r^2 of radii between 6 % and 100 % of the largest, big ones first.
    radii = sorted((largest / (1 + 15 * d[0]) for d in draws), reverse=True)
    corners = rng.uniform(0.45, 1.0, (count, 10))
    for d, radius, ring in zip(draws, radii, corners, strict=True):
        n = 3 + int(d[1] * 8) if d[2] < 0.7 else 10
        angles = np.arange(n) * (2 * math.pi / n) + d[3] * 6.3
        aspect = 0.25 + 0.75 * d[4]
        px, py = np.cos(angles) * ring[:n] * radius, np.sin(angles) * ring[:n] * radius * aspect
        c, s = math.cos(d[5] * 6.3), math.sin(d[5] * 6.3)
        points = np.stack([px * c - py * s + d[6] * width, px * s + py * c + d[7] * height], 1)
        polygon = [np.round(points * 8).astype(np.int32)]
        light = 60 + 136 * d[8]
        cast = [light * (0.85 + 0.3 * v) for v in d[9:12]]
        cv2.fillPoly(index, polygon, int(d[11] * 997) % len(materials), cv2.LINE_8, 3)
        cv2.fillPoly(tint, polygon, cast, cv2.LINE_AA, 3)
    image = materials[0].copy()
    for k, material in enumerate(materials[1:], 1):
        cv2.copyTo(material, cv2.inRange(index, k, k), image)
    return cv2.multiply(image, tint, scale=1 / 128)
