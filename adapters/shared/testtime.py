"""Test-time options that all network members share, and averaging over transformed copies.

An adapter's options inherit `TestTimeOptions`; its basic segmenter takes a video and a
scale, and `augmented` runs it once per `Variant` in lock-step, so that memory is that of
the runs themselves and does not grow with the video's length.

Nothing here imports torch before it is used.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from mose import InputError, Video
from stseg.config import option

AMP_TYPES = {"off": None, "bf16": "bfloat16", "fp16": "float16"}

AVERAGING_SHORT_SIDE = 480
"""Several runs are averaged at the video's size, or at this shorter side where that is less:
the size at which the networks themselves squash their masks, and a quarter of the bytes."""

_FRAMES_SHARED = 4


class Variant(NamedTuple):
    """One transformed copy of a video: mirrored left to right or not, and the scale of the
    size at which the network works (1: its own)."""

    mirror: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class TestTimeOptions:
    """What every network member can be told at test time."""

    __test__ = False  # the name is no test class

    flip: bool = option(False, doc="Average with a run over the mirrored video.")
    scales: Sequence[float] = option(
        (1.0,),
        doc="Run at each of these multiples of the working size and average.",
        above=0,
        fewest=1,
    )
    short_side: int = option(
        -1,
        doc="Resize frames to this shorter side before the network; -1: leave them.",
        least=1,
        also=(-1,),
    )
    amp: str = option(
        "off",
        doc='Mixed precision: "off", "bf16" or "fp16" (fp16 on GPUs only).',
        choices=AMP_TYPES,
    )
    compile: bool = option(
        False, doc="`torch.compile` the network; where that fails it runs uncompiled and says so."
    )
    chunk_size: int = option(
        -1, doc="Objects handled at once; -1: all of them.", least=1, also=(-1,)
    )

    def variants(self) -> tuple[Variant, ...]:
        """The runs that are averaged, the plain one first."""
        mirrors = (False, True) if self.flip else (False,)
        return tuple(Variant(mirror, scale) for scale in self.scales for mirror in mirrors)


@dataclass(frozen=True)
class FrameOptions(TestTimeOptions):
    """`TestTimeOptions` of networks that match at a fraction of the working size."""

    enlarge: float = option(
        0.0,
        doc="`short_side` enlarges frames at most this many times: more costs time and "
        "shows nothing new; 0: as often as it takes.",
        least=1,
        also=(0,),
    )

    def side_for(self, height: int, width: int, otherwise: int = -1) -> int:
        """``short_side`` for frames of this size; ``otherwise`` where it is not given."""
        if self.short_side < 1:
            return otherwise
        if self.enlarge == 0:
            return self.short_side
        return min(self.short_side, round(self.enlarge * min(height, width)))


BasicSegment = Callable[[Video, float], Iterator[FrameMasks]]
"""``(video, scale)``: one run of a model, without any averaging."""


def augmented(run: BasicSegment, video: Video, variants: Sequence[Variant]) -> Iterator[FrameMasks]:
    """Average the probabilities of ``run`` over ``variants`` of the video, frame by frame.

    A single variant passes through in the model's own form. Several give frames of the rule
    "probability" at the video's size, or at `AVERAGING_SHORT_SIDE`. Every run must give the
    objects in the same order, which it does when the order depends on the prompts alone.
    """
    video.check_prompts()
    shared = _shared(video) if len(variants) > 1 else video
    copies = {False: shared, True: mirrored(shared)} if _mirrors(variants) else {False: shared}
    runs = [
        _restored(run(copies[variant.mirror], variant.scale), variant.mirror)
        for variant in variants
    ]
    if len(runs) == 1:
        yield from runs[0]
        return
    shrink = min(1.0, AVERAGING_SHORT_SIDE / min(video.height, video.width))
    height, width = (max(1, round(side * shrink)) for side in (video.height, video.width))
    for frames in zip(*runs, strict=True):
        yield average(frames, height, width)


def average(frames: Sequence[FrameMasks], height: int, width: int) -> FrameMasks:
    """The mean of several answers to one frame, as probabilities at ``height x width``."""
    total = frames[0].probabilities(height, width)
    for frame in frames[1:]:
        total = total + frame.probabilities(height, width)
    return FrameMasks(
        index=frames[0].index,
        object_ids=frames[0].object_ids,
        presence=np.stack([frame.presence for frame in frames]).mean(axis=0),
        confidence=np.stack([frame.confidence for frame in frames]).mean(axis=0),
        native=total / np.float32(len(frames)),
        expansion=Expansion("probability"),
    )


def mirrored(video: Video) -> Video:
    """The video and its masks, left and right exchanged; frames stay lazy."""

    def exchanged(picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(picture[:, ::-1])

    return video.over(_MappedFrames(video, exchanged), exchanged)


def mirrored_frame(frame: FrameMasks) -> FrameMasks:
    """A frame's masks, left and right exchanged, in the same native form."""
    expansion = frame.expansion
    if expansion.window is not None:
        assert expansion.padded is not None
        top, left, height, width = expansion.window
        left = expansion.padded[1] - left - width
        expansion = dataclasses.replace(expansion, window=(top, left, height, width))
    native = np.ascontiguousarray(frame.native[..., ::-1])
    return dataclasses.replace(frame, native=native, expansion=expansion)


def autocast(device: str, amp: str) -> AbstractContextManager[Any]:
    """The mixed-precision context of option ``amp`` on ``device``."""
    if amp == "off":
        return nullcontext()
    kind = device.split(":")[0]
    if amp == "fp16" and kind == "cpu":
        raise InputError("amp fp16 needs a GPU: use bf16 or off on a CPU")
    import torch

    return torch.autocast(kind, dtype=getattr(torch, AMP_TYPES[amp]))  # type: ignore[arg-type]


class Compiled:
    """A function through `torch.compile`, or as it is where compiling fails.

    ``function`` must not change its arguments: it is called again when the compiled one
    fails. The first failure is logged in one sentence, and added to ``notes``.
    """

    def __init__(self, function: Callable[..., Any], notes: list[str]):
        self._plain, self._notes = function, notes
        self._fast: Callable[..., Any] | None = None
        try:
            import torch

            self._fast = torch.compile(function)
        except Exception as error:
            self._give_up(error)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if self._fast is None:
            return self._plain(*arguments, **keywords)
        try:
            return self._fast(*arguments, **keywords)
        except Exception as error:
            result = self._plain(*arguments, **keywords)  # a fault of the input raises here
            self._give_up(error)
            return result

    def _give_up(self, error: Exception) -> None:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        note = f"torch.compile failed and the network runs uncompiled: {reason}"
        logging.getLogger(__name__).warning(note)
        self._notes.append(note)
        self._fast = None


def compiled(function: Callable[..., Any], options: TestTimeOptions, notes: list[str]) -> Any:
    """``function``, `Compiled` where the options ask for it."""
    return Compiled(function, notes) if options.compile else function


def _mirrors(variants: Sequence[Variant]) -> bool:
    return any(variant.mirror for variant in variants)


def _restored(frames: Iterator[FrameMasks], mirror: bool) -> Iterator[FrameMasks]:
    return map(mirrored_frame, frames) if mirror else frames


class _MappedFrames:
    """Frames of a video, each through a function when asked for."""

    def __init__(self, video: Video, function: Callable[[np.ndarray], np.ndarray]):
        self._video, self._function = video, function

    def __len__(self) -> int:
        return len(self._video)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._function(self._video[index])


class _SharedFrames:
    """Frames of a video; the latest ones are decoded once for all runs."""

    def __init__(self, video: Video):
        self._length = len(video)
        self._read = lru_cache(maxsize=_FRAMES_SHARED)(video.__getitem__)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> np.ndarray:
        return self._read(index)


def _shared(video: Video) -> Video:
    return video.over(_SharedFrames(video))
