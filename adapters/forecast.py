"""What a member is expected to cost: time against other members, and memory of its device.

Both are forecasts, to be read before a run is begun. Imports no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from adapters.sam2.options import TreeOptions
from stseg.options import Source, build, option


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

HYPOTHESIS = 0.2
"""What a further hypothesis of an object costs, as a share of a run of SAM 2.1 large: all but its
image encoder. Small networks spend less on the encoder: of the demo SAM 2 it is 0.7."""

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

    Every run that is averaged counts, by the square of its scale, and of a memory with hypotheses
    what each of them costs.
    """
    chosen = CostOptions.of(adapter, options)
    runs = sum(scale**2 for scale in chosen.scales)
    more = hypotheses(options) - 1 if adapter in ("sam2", "transformers") else 0
    runs *= 1 + more * HYPOTHESIS
    if (chosen.flip and adapter != "xmem") or chosen.average_flip or chosen.flip_aug:
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
    return Speed(speed.ms * runs, Basis.ESTIMATED if more else speed.basis)


def hypotheses(options: Mapping[str, object]) -> int:
    """How many hypotheses of an object memory ``tree`` of SAM 2 follows; 1 for other memories."""
    if options.get("memory") != "tree":
        return 1
    tree = options.get("tree")
    given = tree.get("hypotheses") if isinstance(tree, Mapping) else options.get("tree.hypotheses")
    return given if isinstance(given, int) else TreeOptions().hypotheses


@dataclass(frozen=True)
class CostOptions:
    """The options of the adapters here on which time and memory depend. -1: as the adapter has it,
    or all at once."""

    scales: Sequence[float] = option((1.0,), doc="Sizes whose masks are averaged.")
    flip: bool = option(False, doc="Whether the mirrored video is run as well.")
    average_flip: bool = option(False, doc="The same, as XMem calls it.")
    flip_aug: bool = option(False, doc="The same in one run, as Cutie calls it.")
    short_side: int = option(-1, doc="Pixels of the shorter side.")
    size: int = option(-1, doc="The same, as the networks call it.")
    enlarge: float = option(0.0, doc="Bound of the size, in sizes of the video.")
    chunk_size: int = option(-1, doc="Objects at once.")
    max_mid_term_frames: int = option(-1, doc="Frames that XMem remembers.")
    max_mem_frames: int = option(-1, doc="Frames that Cutie remembers.")

    @classmethod
    def of(cls, adapter: str, options: Mapping[str, object]) -> CostOptions:
        """Those among an adapter's options; of an adapter from elsewhere, whose options may mean
        anything, none. `InputError` for values of another type."""
        names = [name for name in cls.__dataclass_fields__ if adapter in GPU_SPEEDS]
        given = {name: options[name] for name in names if options.get(name) is not None}
        return build(cls, given, Source(f" of adapter '{adapter}'", "option"))


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

MEMORY_FRAMES = {"xmem": 10, "cutie": 5}
"""Frames that are remembered by default."""


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
    chosen = CostOptions.of(adapter, options)
    height, width = working_size(footprint, shape, chosen)
    pixels = height * width
    asked = {"xmem": chosen.max_mid_term_frames, "cutie": chosen.max_mem_frames}.get(adapter, -1)
    remembered = min(asked if asked > 0 else MEMORY_FRAMES.get(adapter, 0), shape.frames)
    per_frame = -(-height // TOKEN_STRIDE) * -(-width // TOKEN_STRIDE)
    tokens = remembered * per_frame + (footprint.tokens if shape.frames > remembered else 0)
    bank = 4 * tokens * (footprint.key + footprint.value * shape.objects + per_frame)
    batch = min(chosen.chunk_size, shape.objects) if chosen.chunk_size > 0 else shape.objects
    activations = pixels * (footprint.frame + footprint.each * batch)
    held = footprint.weights * 2**20 if weights is None else weights
    return round(held + bank + activations)


def working_size(footprint: Footprint, shape: VideoShape, chosen: CostOptions) -> tuple[int, int]:
    """(height, width) at which a network works on a video."""
    short = min(shape.height, shape.width)
    asked = (side for side in (chosen.short_side, chosen.size) if side > 0)
    side = next(asked, footprint.side)
    if chosen.enlarge > 0:
        side = min(side, round(chosen.enlarge * short))
    if footprint.square:
        return side, side
    return round(shape.height * side / short), round(shape.width * side / short)
