"""The contract between models and everything else.

An adapter is a `Segmenter`: constructed once with weights, options and a device, it turns
a `mose.Video` into one `FrameMasks` per frame, in order, as a generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from adapters.expansion import Expansion, Places, expand, expand_at, labels_of
from mose import InputError, Video
from stseg.config import build
from stseg.options import Source


@dataclass(frozen=True)
class FrameMasks:
    """One model's answer for one frame.

    index        frame index, from 0
    object_ids   ids given on this frame or an earlier one, in the adapter's order; N of them
    presence     ``(N,) float32`` in [0, 1]: how sure the model is that the object is visible
    confidence   ``(N,) float32`` in [0, 1]: the model's own estimate of the quality of its mask
    native       what the model gives: ``(N, h, w) float32``, or ``(h, w) uint8`` ids where
                 ``expansion.rule`` is "labels"
    expansion    the model's rule from ``native`` to the video's size
    """

    index: int
    object_ids: tuple[int, ...]
    presence: np.ndarray
    confidence: np.ndarray
    native: np.ndarray
    expansion: Expansion

    def probabilities(self, height: int, width: int) -> np.ndarray:
        """``(N, height, width) float32`` in [0, 1]; the background has the rest to 1."""
        if self.expansion.rule == "labels":
            ids = self.labels(height, width)
            planes = [ids == object_id for object_id in self.object_ids]
            shape = (len(planes), height, width)
            return np.asarray(planes, dtype=np.float32).reshape(shape)
        return expand(self.native, self.expansion, height, width)

    def probabilities_at(self, places: Places) -> np.ndarray:
        """`probabilities` at P pixels of a frame: ``(N, P) float32``."""
        if self.expansion.rule == "labels":
            ids = self.labels(*places.size)[places.rows, places.columns]
            return (ids[None] == np.asarray(self.object_ids)[:, None]).astype(np.float32)
        return expand_at(self.native, self.expansion, places)

    def labels(self, height: int, width: int) -> np.ndarray:
        """``(height, width) uint8`` ids."""
        if self.expansion.rule != "labels":
            return labels_of(self.probabilities(height, width), self.object_ids)
        if self.native.shape == (height, width):
            return self.native
        rows = (np.arange(height) * self.native.shape[0]) // height
        columns = (np.arange(width) * self.native.shape[1]) // width
        return self.native[rows[:, None], columns]


@dataclass(frozen=True)
class NoOptions:
    """For an adapter without options."""


class Segmenter(ABC):
    """Base of all adapters.

    Class data:
      name            the adapter's name in configuration and on the command line
      summary         one line for ``python -m adapters list``
      extra           the optional extra of the distribution that it needs, or None
      needs_weights   whether a checkpoint must be given
      from_boxes      whether `outline` can make first masks of boxes
      Options         frozen dataclass of its options; every field has a default and
                      documentation, by `stseg.config.option`

    An instance holds weights and options only; everything that belongs to one video lives
    inside the generator that `segment` returns, so that memory does not grow with the
    video's length and no result travels through ``self``.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    extra: ClassVar[str | None] = None
    needs_weights: ClassVar[bool] = True
    from_boxes: ClassVar[bool] = False
    Options: ClassVar[type] = NoOptions

    def __init__(self, weights: str | Path | None = None, device: str = "cpu", **options: Any):
        """Load the model.

        Raises `InputError`, one sentence, for a missing, damaged or foreign checkpoint, an
        unknown option, an absent dependency or a device that is not there. It never falls back to
        other weights, random weights, or the CPU.
        """
        if self.needs_weights and weights is None:
            raise InputError(f"adapter '{self.name}' needs weights: give the path of a checkpoint")
        if not self.needs_weights and weights is not None:
            raise InputError(f"adapter '{self.name}' takes no weights, got {weights}: leave it out")
        self.weights = Path(weights) if weights is not None else None
        self.device = check_device(device)
        self.options = self.parse_options(options)
        self.notes: list[str] = []  # sentences about this instance that a run should record

    @classmethod
    def parse_options(cls, options: Mapping[str, object]) -> Any:
        """An ``Options`` from keywords; of one within it ``{"long_term": {"max_mem_frames": 4}}``
        or ``{"long_term.max_mem_frames": 4}``. Raises `InputError` for what does not fit."""
        return build(cls.Options, options, Source(f" of adapter '{cls.name}'", "option"))

    def outline(self, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """The masks of the objects in boxes, for an adapter that has ``from_boxes``.

        frame   ``(H, W, 3) uint8`` RGB
        boxes   ``(N, 4) float32``: left, top, right and bottom in pixels

        Returns ``(N, H, W) float32`` logits, above 0 where the object is.
        """
        raise InputError(f"adapter '{self.name}' cannot start from a box: give a mask")

    @abstractmethod
    def segment(self, video: Video) -> Iterator[FrameMasks]:
        """One item per frame, in order, also for frames before the first given mask (N = 0).

        Objects of a later prompt are in ``object_ids`` from that frame on. On frames with given
        masks, the item holds the model's own answer; the code that saves masks writes the given
        ones over it. Raises `InputError` for a video without prompts.
        """


def check_device(device: str) -> str:
    """Return the device if it is available; raise `InputError` otherwise. Imports torch only for
    GPUs."""
    if device == "cpu":
        return device
    kind = device.split(":")[0]
    if kind not in ("cuda", "mps"):
        raise InputError(f"unknown device '{device}': valid are cpu, cuda, cuda:<number>, mps")
    import torch

    if kind == "mps":
        available = torch.backends.mps.is_available()
    else:
        number = int(device.split(":")[1]) if ":" in device else 0
        available = torch.cuda.is_available() and number < torch.cuda.device_count()
    if not available:
        raise InputError(f"device '{device}' is not there: use --device cpu or another GPU machine")
    return device
