"""What a member is expected to cost: time against other members, and memory of its device.

Both are forecasts, to be read before a run is begun. Imports no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Basis(StrEnum):
    """What a forecast rests on."""

    MEASURED = "measured"
    PUBLISHED = "published"
    STATED = "stated"
    """The member's configuration says it."""
    ESTIMATED = "estimated"


class Speed(NamedTuple):
    """Milliseconds of a frame with one object, and where they come from."""

    ms: float
    basis: Basis


GPU_SPEEDS: Mapping[str, Speed] = {
    "xmem": Speed(16.4, Basis.PUBLISHED),
    "cutie": Speed(15.4, Basis.PUBLISHED),
    "livos": Speed(16.8, Basis.ESTIMATED),
    "tmo": Speed(14.8, Basis.ESTIMATED),
    "sam2": Speed(25.3, Basis.PUBLISHED),
    "transformers": Speed(60.0, Basis.ESTIMATED),
    "flow": Speed(0.1, Basis.ESTIMATED),
    "hold": Speed(0.02, Basis.ESTIMATED),
    "folder": Speed(0.03, Basis.ESTIMATED),
}
"""On an A100: 61, 65 and 39.5 frames a second are published of XMem, Cutie and SAM 2.1 large. LiVOS
and TMO are taken to stand to Cutie as on a CPU, SAM 3 to SAM 2.1 large by the size of its image
encoder. The last three use no GPU."""

CPU_SPEEDS: Mapping[str, Speed] = {
    **GPU_SPEEDS,
    "xmem": Speed(1300, Basis.MEASURED),
    "cutie": Speed(680, Basis.MEASURED),
    "livos": Speed(740, Basis.MEASURED),
    "tmo": Speed(650, Basis.MEASURED),
    "sam2": Speed(11_000, Basis.ESTIMATED),
    "transformers": Speed(26_000, Basis.ESTIMATED),
}
"""On two threads at 480 x 854, as docs/performance.md has them (`python -m benchmarks.networks`).
SAM 2.1 large by its arithmetic: some 1.1e12 multiplications a frame (40.3e9 at 224 pixels are
published of its image encoder), of which two cores do 1e11 a second."""

USUAL_MS, USUAL_CPU_MS = 15.0, 700.0
"""For an adapter of which nothing is known: among the others, on a GPU and on a CPU."""


class VideoShape(NamedTuple):
    """What the memory of a model depends on; lengths in pixels."""

    height: int
    width: int
    objects: int
    frames: int


def frame_cost(
    adapter: str, options: Mapping[str, object], device: str = "cuda", stated: float | None = None
) -> Speed:
    """The speed of the published network, to compare members on one device by.

    stated   milliseconds of one run on a GPU, by the member's configuration; None: the adapter's
             usual

    Every run that is averaged counts, by the square of its scale.
    """
    scales = options.get("scales") or (1.0,)
    assert isinstance(scales, (tuple, list))
    runs = sum(float(scale) ** 2 for scale in scales)
    mirrored = any(options.get(name) for name in ("average_flip", "flip_aug"))
    if (options.get("flip") and adapter != "xmem") or mirrored:
        runs *= 2
    speeds, usual = (CPU_SPEEDS, USUAL_CPU_MS) if device == "cpu" else (GPU_SPEEDS, USUAL_MS)
    speed = speeds.get(adapter, Speed(usual, Basis.ESTIMATED))
    if stated is not None and device != "cpu":
        speed = Speed(stated, Basis.STATED)
    elif stated is not None:
        # What is stated of a GPU says how a network stands to its adapter's usual one.
        there = GPU_SPEEDS[adapter].ms if adapter in GPU_SPEEDS else USUAL_MS
        basis = speed.basis if stated == there else Basis.ESTIMATED
        speed = Speed(speed.ms * stated / there, basis)
    return Speed(speed.ms * runs, speed.basis)


@dataclass(frozen=True)
class Footprint:
    """Memory of one network in full precision.

    weights      MiB of the published network
    frame        bytes per pixel of the working size, for any number of objects
    each         bytes per pixel of the working size, for each object
    side         shorter side at which it works by default
    basis        what the bytes per pixel rest on
    square       the working size is a square, whatever the video's shape
    key, value   channels of a memory token, and of what it holds for each object
    tokens       memory tokens beside those of whole frames
    """

    weights: float
    frame: float
    each: float
    side: int
    basis: Basis
    square: bool = False
    key: int = 0
    value: int = 0
    tokens: int = 0


FOOTPRINTS: Mapping[str, Footprint] = {
    "xmem": Footprint(238, 650, 200, 480, Basis.ESTIMATED, key=64, value=512, tokens=10_000),
    "cutie": Footprint(134, 560, 120, 480, Basis.MEASURED, key=64, value=256),
    "livos": Footprint(130, 870, 145, 480, Basis.MEASURED),
    "tmo": Footprint(400, 3340, 0, 384, Basis.MEASURED, square=True),
    "sam2": Footprint(856, 600, 100, 1024, Basis.ESTIMATED, square=True),
    "transformers": Footprint(1800, 600, 130, 1008, Basis.ESTIMATED, square=True),
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
        return 0 if adapter in GPU_SPEEDS else None
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
