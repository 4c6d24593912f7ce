"""From a drawn scene to a camera's picture: light, blur, noise, coding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from mose.synthetic.config import SyntheticConfig
from mose.synthetic.motion import Wave, wave
from mose.synthetic.render import smear, three
from mose.synthetic.textures import grain


@dataclass(slots=True)
class Optics:
    """What the camera and the light do to a clip, as waves over time units.

    gain       exposure (log), and ``cast`` per channel (log)
    lift       black level, 0..255
    gamma      tone curve of the clip
    shade      a dark field that drifts over the picture: depth, position and width
    defocus    standard deviation of the blur, pixels (negative: sharp)
    noise      standard deviation of the noise, grey levels
    quality    JPEG quality, 0 for none
    softness   the picture passes through this fraction of its size, 1 for none
    """

    gain: Wave
    cast: tuple[Wave, Wave, Wave]
    lift: Wave
    gamma: float
    shade: tuple[Wave, Wave, Wave, float]
    defocus: Wave
    noise: float
    quality: int
    softness: float


def sample(rng: np.random.Generator, config: SyntheticConfig, unit: float) -> Optics:
    """Draw a clip's optics; ``unit`` is the frame's size in pixels."""
    light = config.light
    lights_change = 1.0 if rng.random() < 0.5 else 0.2
    shaded = rng.random() < 0.4 * light
    blurred = config.defocus * unit * 0.006 * (1.0 if rng.random() < 0.35 else 0.1)
    return Optics(
        gain=wave(rng, 0.45 * light * lights_change, (15, 150), offset=float(rng.normal(0, 0.12))),
        cast=tuple(  # type: ignore[arg-type]
            wave(rng, 0.12 * light * lights_change, (30, 150), 1, float(rng.normal(0, 0.06)))
            for _ in range(3)
        ),
        lift=wave(rng, 18 * light * lights_change, (30, 150), 1, float(rng.uniform(-12, 22))),
        gamma=math.exp(float(rng.normal(0, 0.2)) * light),
        shade=(
            wave(rng, 0.25, (30, 120), offset=0.35 if shaded else -1.0),
            wave(rng, 0.6, (30, 150)),
            wave(rng, 0.6, (30, 150)),
            float(rng.uniform(0.15, 0.6)),
        ),
        defocus=wave(rng, blurred, (15, 120), offset=float(rng.uniform(-0.7, 0.7)) * blurred),
        noise=config.noise * 14 * float(rng.random()) ** 2,
        quality=int(rng.integers(25, 90)) if rng.random() < config.compression else 0,
        softness=float(rng.uniform(0.5, 0.9)) if rng.random() < config.compression / 2 else 1.0,
    )


def develop(
    optics: Optics,
    canvas: np.ndarray,
    time: float,
    movement: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Turn a canvas into a picture.

    canvas    (H, W, 3) float32, 0..255; changed in place
    movement  movement of the camera while the shutter is open, pixels
    rng       noise is drawn from it
    Returns (H, W, 3) uint8.
    """
    height, width = canvas.shape[:2]
    if math.hypot(*movement) > 1.5:
        smear(canvas, movement)
    depth = optics.shade[0](time)
    if depth > 0:
        canvas *= three(_shadow(optics, depth, time, height, width))
    if optics.softness < 1:
        small = (max(8, round(width * optics.softness)), max(8, round(height * optics.softness)))
        canvas = cv2.resize(canvas, small, interpolation=cv2.INTER_AREA)
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_LINEAR)
    sigma = optics.defocus(time)
    if sigma > 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), sigma)
    image = cv2.LUT(cv2.convertScaleAbs(canvas), _tones(optics, time))
    if optics.noise > 0.5:
        patch = _cut(grain(), height, width, rng)
        image = cv2.addWeighted(image, 1.0, patch, optics.noise / 64, 0, dtype=cv2.CV_8U)
    if optics.quality:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, optics.quality])[1]
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return image


def _shadow(optics: Optics, depth: float, time: float, height: int, width: int) -> np.ndarray:
    """A soft dark blot or band, (H, W) float32 factors in (0, 1]."""
    _, x, y, size = optics.shade
    gx = np.linspace(-0.5, 0.5, 12, dtype=np.float32) - np.float32(x(time))
    gy = np.linspace(-0.5, 0.5, 12, dtype=np.float32)[:, None] - np.float32(y(time))
    field = 1 - np.float32(min(depth, 0.7)) / (1 + np.exp((np.hypot(gx, gy) - size) / 0.04))
    return cv2.resize(field.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


def _tones(optics: Optics, time: float) -> np.ndarray:
    """Exposure, colour cast, black level and tone curve as one table, (1, 256, 3) uint8."""
    exposure = optics.gain(time)
    gains = np.array([math.exp(exposure + cast(time)) for cast in optics.cast])
    linear = np.arange(256)[:, None] * gains + optics.lift(time)
    curve = 255 * (np.clip(linear, 0, 255) / 255) ** optics.gamma
    return np.rint(curve).astype(np.uint8)[None]


def _cut(bank: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A random piece of the noise bank, repeated where the frame is larger."""
    high, wide = bank.shape[:2]
    if height > high or width > wide:
        bank = np.tile(bank, (-(-height // high) + 1, -(-width // wide) + 1, 1))
    y = int(rng.integers(bank.shape[0] - height + 1))
    x = int(rng.integers(bank.shape[1] - width + 1))
    return bank[y : y + height, x : x + width]
