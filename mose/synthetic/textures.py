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
_FINE = (0, 1, 2, 8, 9, 12, 34)
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
    draws = rng.random(6 + anchors).tolist()
    if around is None:
        # Half of the hues are those of skin, earth, wood, leaves, sky and water.
        common = _COMMON_HUES[int(draws[0] * len(_COMMON_HUES))]
        hue = (360 * draws[0] if draws[1] < 0.5 else common) + rng.normal(0, 20, anchors)
        if draws[2] < 0.2:
            hue[0] = 1800 * draws[2]
        hsv = np.empty((1, anchors, 3), np.float32)
        hsv[0, :, 0] = hue % 360
        hsv[0, :, 1] = rng.beta(1.2, 2.5, anchors) * (1.0 if draws[3] < 0.6 else 0.4)
        centre, spread = 0.25 + 0.5 * draws[4], 0.12 + 0.38 * draws[5]
        hsv[0, :, 2] = [min(max(centre + spread * (2.8 * d - 1.4), 0.04), 1) for d in draws[6:]]
        colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] * 255
    else:
        near = around[rng.integers(0, 256, anchors)]
        colours = (near + rng.normal(0, 8, (1, 3)) + rng.normal(0, 5, (anchors, 3))).astype("f4")
    if rng.random() < 0.7:
        colours = colours[np.argsort(colours.sum(1))]
    ramp = cv2.resize(colours[:, None], (1, 256), interpolation=cv2.INTER_LINEAR)[:, 0]
    return np.clip(ramp, 0, 255).astype(np.uint8)


def field(rng: np.random.Generator, height: int, width: int, zoom: float) -> np.ndarray:
    """A random view of a random field: ``(height, width) uint8``.

    ``zoom`` is the number of output pixels per field pixel, before a random factor.
    """
    source = _tiled(int(rng.integers(len(bank()))))
    angle, log_zoom, squeeze, ox, oy = rng.random(5).tolist()
    zoom *= math.exp(1.6 * log_zoom - 0.8)
    angle *= 2 * math.pi
    c, s = math.cos(angle) / zoom, math.sin(angle) / zoom
    stretch = math.exp(0.8 * squeeze - 0.4)
    # The middle of the view lies in the middle period, so that little of it runs out.
    x, y = SIZE * (0.5 + ox), SIZE * (0.5 + oy)
    matrix = np.array(
        [
            [c * stretch, -s, x - (c * stretch * width - s * height) / 2],
            [s * stretch, c, y - (s * stretch * width + c * height) / 2],
        ]
    )
    return cv2.warpAffine(
        source,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )


@functools.cache
def _tiled(index: int) -> np.ndarray:
    """Two by two periods of a field: borders are what makes warping slow."""
    return np.tile(bank()[index], (2, 2))


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
    if rng.random() < 0.3:  # many surfaces have little contrast
        calm = float(rng.uniform(0.15, 0.6))
        flat = np.empty_like(image)
        flat[:] = ramp[int(rng.integers(256))]
        image = cv2.addWeighted(image, calm, flat, 1 - calm, 0)
    if rng.random() < 0.7:  # but few are without any fine detail
        fine = fine_detail(rng, height, width, float(rng.uniform(0.15, 0.85)))
        image = cv2.multiply(image, cv2.merge([fine] * 3), scale=1 / 128)
    return image


def fine_detail(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """Brightness of pores, blades, threads and gravel: ``(height, width) uint8`` about 128.

    A view without enlargement of one of the fields with the flattest spectra.
    """
    source = bank()[_FINE[int(rng.integers(len(_FINE)))]]
    x, y = (int(v) for v in rng.integers(0, SIZE, 2))
    periods = (-(-(y + height) // SIZE), -(-(x + width) // SIZE))
    view = np.tile(source, periods)[y : y + height, x : x + width]
    return cv2.convertScaleAbs(view, alpha=strength, beta=128 * (1 - strength))


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
    draws = rng.random((count, 10))
    # Density 1 / r^2 of radii between 6 % and 100 % of the largest, big ones first.
    radii = np.sort(largest / (1 + 15 * draws[:, 0]))[::-1]
    corners = np.where(draws[:, 1] < 0.7, 3 + (draws[:, 2] * 8).astype(int), 10)
    turns = np.arange(10) * (2 * math.pi / corners[:, None]) + 6.3 * draws[:, 3:4]
    ring = rng.uniform(0.45, 1.0, (count, 10)) * radii[:, None]
    px, py = np.cos(turns) * ring, np.sin(turns) * ring * (0.25 + 0.75 * draws[:, 4:5])
    c, s = np.cos(6.3 * draws[:, 5:6]), np.sin(6.3 * draws[:, 5:6])
    points = np.empty((count, 10, 2))
    points[..., 0] = px * c - py * s + draws[:, 6:7] * width
    points[..., 1] = px * s + py * c + draws[:, 7:8] * height
    polygons = np.rint(points * 8).astype(np.int32)
    casts = (60 + 136 * draws[:, 8:9]) * rng.uniform(0.85, 1.15, (count, 3))
    kinds = (draws[:, 9] * len(materials)).astype(int).tolist()
    for polygon, n, kind, cast in zip(
        polygons, corners.tolist(), kinds, casts.tolist(), strict=True
    ):
        cv2.fillPoly(index, [polygon[:n]], kind, cv2.LINE_8, 3)
        cv2.fillPoly(tint, [polygon[:n]], cast, cv2.LINE_AA, 3)
    image = materials[0].copy()
    for k, material in enumerate(materials[1:], 1):
        cv2.copyTo(material, cv2.inRange(index, k, k), image)
    return cv2.multiply(image, tint, scale=1 / 128)
