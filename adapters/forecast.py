"""What a member is expected to cost: time against other members, and memory of its device.

Both are forecasts, to be read before a run is begun. Imports no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

FRAME_MS: Mapping[str, float] = {
    "xmem": 16.4, "cutie": 15.4, "livos": 16.8, "tmo": 14.8, "sam2": 25.3,
    "flow": 0.1, "hold": 0.02, "folder": 0.03,
}  # fmt: skip
"""Milliseconds of a frame with one object on an A100: 61 and 65 frames a second are published of
XMem and Cutie, 39.5 of SAM 2.1 large. LiVOS and TMO stand to Cutie as docs/performance.md has
them on a CPU. The last three use no GPU, and were not measured."""

USUAL_MS = 15.0
"""For an adapter of which nothing is known: among the others."""


class VideoShape(NamedTuple):
    """What the memory of a model depends on; lengths in pixels."""

    height: int
    width: int
    objects: int
    frames: int


def frame_cost(adapter: str, options: Mapping[str, object], stated: float | None = None) -> float:
    """Milliseconds of a frame with one object on an A100, to compare members by.

    stated   what the member's configuration says of one run; None: the adapter's usual

    Every run that is averaged counts, by the square of its scale.
    """
    scales = options.get("scales") or (1.0,)
    assert isinstance(scales, (tuple, list))
    runs = sum(float(scale) ** 2 for scale in scales)
    mirrored = any(options.get(name) for name in ("average_flip", "flip_aug"))
    if (options.get("flip") and adapter != "xmem") or mirrored:
        runs *= 2
    return (FRAME_MS.get(adapter, USUAL_MS) if stated is None else stated) * runs


@dataclass(frozen=True)
class Footprint:
    """Memory of one network in full precision.

    weights      MiB of the published network
    frame        bytes per pixel of the working size, for any number of objects
    each         bytes per pixel of the working size, for each object
    side         shorter side at which it works by default
    square       the working size is a square, whatever the video's shape
    key, value   channels of a memory token, and of what it holds for each object
    tokens       memory tokens beside those of whole frames
    """

    weights: float
    frame: float
    each: float
    side: int
    square: bool = False
    key: int = 0
    value: int = 0
    tokens: int = 0


FOOTPRINTS: Mapping[str, Footprint] = {
    "xmem": Footprint(238, 650, 200, side=480, key=64, value=512, tokens=10_000),
    "cutie": Footprint(134, 560, 120, side=480, key=64, value=256),
    "livos": Footprint(130, 870, 145, side=480),
    "tmo": Footprint(400, 3340, 0, side=384, square=True),
    "sam2": Footprint(856, 600, 100, side=1024, square=True),
}
"""Of Cutie, LiVOS and TMO from `python -m benchmarks.activations` on a CPU, 240 x 432 pixels. Of
XMem with one object as well (848 bytes a pixel); how they divide is an estimate. Of SAM 2.1 large
from the widths of its layers: the first stage has 144 channels at stride 4, their hidden layers
four times as many. A GPU's libraries take some hundreds of MiB more."""

TOKEN_STRIDE = 16

MEMORY_FRAMES = {"xmem": ("max_mid_term_frames", 10), "cutie": ("max_mem_frames", 5)}
"""The option that says how many frames are remembered, and its default."""


def device_memory(
    adapter: str, shape: VideoShape, options: Mapping[str, object], weights: int | None = None
) -> int | None:
    """Bytes of the device that a member is expected to take at most, or None where unknown.

    weights   bytes of its checkpoint; None: as the published network has them

    Nothing of the networks here grows with ``shape.frames`` beyond the frames remembered.
    """
    footprint = FOOTPRINTS.get(adapter)
    if footprint is None:
        return 0 if adapter in FRAME_MS else None
    height, width = working_size(footprint, shape, options)
    pixels = height * width
    memory_option, usual = MEMORY_FRAMES.get(adapter, ("", 0))
    remembered = min(_whole(options, memory_option, usual), shape.frames)
    per_frame = -(-height // TOKEN_STRIDE) * -(-width // TOKEN_STRIDE)
    tokens = remembered * per_frame + (footprint.tokens if shape.frames > remembered else 0)
    bank = 4 * tokens * (footprint.key + footprint.value * shape.objects + per_frame)
    batch = min(_whole(options, "chunk_size", shape.objects), shape.objects)
    activations = pixels * (footprint.frame + footprint.each * batch)
    held = footprint.weights * 2**20 if weights is None else weights
    return round(held + bank + activations)


def working_size(
    footprint: Footprint, shape: VideoShape, options: Mapping[str, object]
) -> tuple[int, int]:
    """(height, width) at which a network works on a video."""
    short = min(shape.height, shape.width)
    side = _whole(options, "short_side", _whole(options, "size", footprint.side))
    enlarge = options.get("enlarge") or 0
    if isinstance(enlarge, (int, float)) and enlarge > 0:
        side = min(side, round(enlarge * short))
    if footprint.square:
        return side, side
    return round(shape.height * side / short), round(shape.width * side / short)


def _whole(options: Mapping[str, object], name: str, usual: int) -> int:
    """A whole number among the options; ``usual`` where it is not given, or -1."""
    value = options.get(name)
    return value if isinstance(value, int) and value > 0 else usual
