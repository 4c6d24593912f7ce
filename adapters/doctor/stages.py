"""What the readers, a network and its answers make of the clip, in a few numbers.

The golden summaries are those of a sound installation, in golden.json:

    python -m adapters.doctor.stages
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from adapters.base import FrameMasks, Segmenter
from adapters.doctor import clip, models
from adapters.shared.optical_flow import flow_picture
from mose import Video
from stseg.config import to_dict
from stseg.files import read_json, write_json
from stseg.options import Source, build

GOLDEN = Path(__file__).with_name("golden.json")

LIMIT = 20.0
"""Logits beyond it say no more, and stand for "not there at all" in ways of their own."""

EDGE = 0.02
"""Share of a mask's range within which a value is one of its two ends."""

DIGITS = 4


@dataclass(frozen=True)
class PictureSummary:
    """A picture: its size in pixels, and mean and deviation of its three channels."""

    height: int
    width: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """What the readers make of the clip's files.

    frames   every frame, in order, in levels of 0 to 255
    ids      of the given mask
    pixels   of each id
    flow     the colour picture of a turning flow
    """

    frames: tuple[PictureSummary, ...]
    ids: tuple[int, ...]
    pixels: tuple[int, ...]
    flow: PictureSummary


@dataclass(frozen=True)
class AnswerSummary:
    """What a model says of a frame.

    index                  the frame's
    ids                    the objects', as the adapter numbers them
    mean, deviation        of the native map, within `LIMIT`
    """

    index: int
    ids: tuple[int, ...]
    mean: float
    deviation: float


@dataclass(frozen=True)
class ModelRun:
    """What an adapter makes of the clip.

    images    inputs of the convolutions over images, in order
    between   share of the given mask's pixels that are neither in it nor out of it, as the
              network gets it; None: no convolution has seen a mask
    answers   one for each frame
    """

    images: tuple[PictureSummary, ...]
    between: float | None
    answers: tuple[AnswerSummary, ...]


@dataclass(frozen=True)
class Golden:
    """The summaries of a sound installation: of the readers, and of every adapter's run."""

    reading: Reading
    runs: Mapping[str, ModelRun]


def read(video: Video) -> Reading:
    """The first stage: files to arrays."""
    mask = video.prompts[0]
    ids, pixels = np.unique(mask[mask > 0], return_counts=True)
    rows, columns = np.mgrid[: clip.HEIGHT, : clip.WIDTH].astype(np.float32)
    turning = np.stack([rows - clip.HEIGHT / 2, clip.WIDTH / 2 - columns], axis=-1)
    return Reading(
        tuple(_colours(video[index].transpose(2, 0, 1)) for index in range(len(video))),
        tuple(ids.tolist()),
        tuple(pixels.tolist()),
        _colours(flow_picture(turning).transpose(2, 0, 1)),
    )


def run(segmenter: Segmenter, video: Video) -> ModelRun:
    """The other stages: what the network sees, and what it says."""
    from adapters.doctor.watching import Watching

    with Watching() as watching:
        answers = tuple(map(_answer, segmenter.segment(video)))
    between = None
    if watching.masks:
        mask = watching.masks[0].numpy()
        low, high = mask.min(), mask.max()
        edge = EDGE * (high - low)
        between = _rounded(np.mean((mask > low + edge) & (mask < high - edge)))
    images = tuple(_colours(image.numpy()) for image in watching.images)
    return ModelRun(images, between, answers)


def _colours(picture: np.ndarray) -> PictureSummary:
    """Of ``(3, H, W)``."""
    planes = picture.astype(np.float64)
    mean, deviation = planes.mean((1, 2)), planes.std((1, 2))
    _, height, width = planes.shape
    return PictureSummary(height, width, _all_rounded(mean), _all_rounded(deviation))


def _answer(frame: FrameMasks) -> AnswerSummary:
    native = frame.native.astype(np.float64).clip(-LIMIT, LIMIT)
    return AnswerSummary(
        frame.index, tuple(frame.object_ids), _rounded(native.mean()), _rounded(native.std())
    )


def _rounded(value: float | np.floating) -> float:
    return round(float(value), DIGITS)


def _all_rounded(values: np.ndarray | Sequence[float]) -> tuple[float, ...]:
    return tuple(_rounded(value) for value in values)


@cache
def golden() -> Golden:
    """The summaries that ship."""
    stored = read_json(GOLDEN)
    assert isinstance(stored, dict)
    source = Source(f" of {GOLDEN}", "entry")
    runs = {name: build(ModelRun, run, source) for name, run in stored["runs"].items()}
    return Golden(build(Reading, stored["reading"], source), runs)


def measure() -> Golden:
    """The summaries of this installation, in full precision on its CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = clip.write(folder)
        runs = {
            adapter: run(models.load(adapter, folder / adapter), video)
            for adapter in models.OPTIONS
        }
        return Golden(read(video), runs)


if __name__ == "__main__":
    write_json(GOLDEN, to_dict(measure()))
