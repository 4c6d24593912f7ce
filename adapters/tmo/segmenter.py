"""TMO (Cho et al. 2023) as an adapter: a foreground from appearance and motion, and its split.

TMO itself is unsupervised: one foreground per frame, no objects, no prompts. `foreground`
gives what it gives. To follow the given objects, each gets its share of the foreground: that
identity step, `adapters.tmo.identity`, is this project's own and not part of TMO.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from adapters.base import FrameMasks, Segmenter
from adapters.expansion import Expansion
from adapters.networks.tmo import WORKING_SIZE, bicubic, enlarge
from adapters.shared.confidence import presence_and_confidence
from adapters.shared.optical_flow import (
    PRESETS,
    DenseFlow,
    Flow,
    RaftFlow,
    flow_picture,
    merged_planes,
    read_picture,
    working_size,
)
from adapters.shared.propagation import ready
from adapters.shared.testtime import TestTimeOptions, augmented, autocast
from adapters.tmo.identity import Identities
from adapters.weights.checkpoints import load_network
from mose import InputError, Video
from stseg.config import option

FLOWS = ("dis", "raft", "pictures", "none")

SPLIT_SHORT_SIDE = 360
"""Where ``short_side`` does not say otherwise: the network's own answer is coarser."""


@dataclass(frozen=True)
class TMOOptions(TestTimeOptions):
    """Options of TMO.

    ``short_side`` is that of the flow and of the split, 360 where it is -1; ``chunk_size``
    changes nothing, because the network sees no objects.
    """

    aos: bool = option(
        False,
        doc="Adaptive output selection: run with the flow picture and with the frame in its "
        "place, and keep the surer answer of each frame; off in the reference's "
        "program.",
    )
    flow: str = option(
        "dis",
        doc='Where flow pictures come from: "dis" (OpenCV), "raft" (torchvision, where it '
        'and its weights are there), "pictures" (given ones), "none" (the frame stands '
        "in); the first frame has no flow, there the frame stands in as well.",
        choices=FLOWS,
    )
    preset: str = option(
        "medium",
        doc='Of DIS, which also carries the masks unless `flow` is "raft".',
        choices=PRESETS,
    )
    pictures: str = option("", doc="Folder of given flow pictures, `<folder>/<video>/00000.jpg`.")
    size: int = option(
        WORKING_SIZE,
        doc="The network sees frames as squares of this side, a multiple of 32.",
        least=32,
        multiple_of=32,
    )
    ahead: int = option(1, doc="Frames that go through the network in one batch.", least=1)

    def __post_init__(self) -> None:
        if (self.flow == "pictures") != bool(self.pictures):
            raise InputError(
                f"option pictures is {self.pictures!r} and flow is '{self.flow}': a folder of"
                " pictures and flow 'pictures' belong together"
            )
        if self.flow == "pictures" and self.flip:
            raise InputError(
                "given flow pictures have no mirrored form: leave flip or pictures out"
            )


class ForegroundAnswer(NamedTuple):
    """What TMO says of one frame.

    foreground   ``(h, w) float32`` in [0, 1]
    from_image   whether adaptive output selection preferred the frame to the flow picture
    confidence   of the answers without and with flow; None without selection
    """

    foreground: np.ndarray
    from_image: bool
    confidence: tuple[float, float] | None


class TMOSegmenter(Segmenter):
    """TMO's foreground, split between the given objects.

    The split is the project's own: TMO has no identities. Objects that TMO does not see as
    foreground are carried along the flow alone.
    """

    name = "tmo"
    summary = "TMO: foreground from appearance and motion, split between the objects"
    extra = "networks"
    Options = TMOOptions

    def __init__(self, weights: str | Path | None = None, device: str = "cpu", **options: Any):
        super().__init__(weights, device, **options)
        assert self.weights is not None
        network = load_network(self.weights, "tmo", self.notes)
        self._flow: Flow = DenseFlow(self.options.preset)
        if self.options.flow == "raft":
            self._flow = RaftFlow(self.device)
        self.network = ready(network, self.device, self.options, self.notes)

    def segment(self, video: Video) -> Iterator[FrameMasks]:
        return augmented(self._run, video, self.options.variants())

    def foreground(self, image: np.ndarray, picture: np.ndarray | None = None) -> np.ndarray:
        """TMO's foreground of one frame: ``(H, W) float32`` in [0, 1].

        image     ``(H, W, 3) uint8`` RGB
        picture   ``(h, w, 3) uint8``, the colour picture of its flow, of any size; None: the
                  frame stands in
        """
        size = (image.shape[0], image.shape[1])
        return self.predict([image], [picture], size)[0].foreground

    def predict(
        self,
        images: list[np.ndarray],
        pictures: list[np.ndarray | None],
        size: tuple[int, int],
        scale: float = 1.0,
    ) -> list[ForegroundAnswer]:
        """TMO's answers for a batch of frames, at ``size`` (height, width).

        images     ``(H, W, 3) uint8`` RGB each
        pictures   one each, see `foreground`
        scale      of the size at which the network works
        """
        options = self.options
        side = max(round(options.size * scale / 32), 1) * 32
        with torch.inference_mode(), autocast(self.device, options.amp):
            frames = torch.cat([self._square(image, side) for image in images])
            motion = [p if p is not None else i for p, i in zip(pictures, images, strict=True)]
            flows = torch.cat([self._square(picture, side) for picture in motion])
            seen = self.network.foreground(frames, flows, options.aos)
            soft = torch.sigmoid(enlarge(seen.margin.float(), size))[:, 0].cpu().numpy()
        chosen = seen.from_image.tolist()
        sure: list[tuple[float, float] | None] = [None] * len(images)
        if seen.confidence is not None:
            sure = [(float(a), float(b)) for a, b in seen.confidence.tolist()]
        return [ForegroundAnswer(*answer) for answer in zip(soft, chosen, sure, strict=True)]

    def _square(self, picture: np.ndarray, side: int) -> Tensor:
        image = torch.tensor(picture, device=self.device).permute(2, 0, 1)[None].float() / 255
        image = bicubic(image, (side, side))
        return image.contiguous(memory_format=torch.channels_last)

    def _split_size(self, video: Video) -> tuple[int, int]:
        short = self.options.short_side if self.options.short_side > 0 else SPLIT_SHORT_SIDE
        return working_size(video.height, video.width, short)

    def _run(self, video: Video, scale: float) -> Iterator[FrameMasks]:
        height, width = self._split_size(video)
        first = min(video.prompts)
        for index in range(first):
            yield _frame(index, (), np.zeros((0, height, width), dtype=np.float32))
        ids: tuple[int, ...] = ()
        identities = Identities(height, width)
        for looks in _batches(self._looks(video, first, height, width), self.options.ahead):
            images, pictures = [look.image for look in looks], [look.picture for look in looks]
            answers = self.predict(images, pictures, (height, width), scale)
            for look, answer in zip(looks, answers, strict=True):
                planes = identities.step(look.small, answer.foreground, look.flow)
                given = video.given(look.index)
                if given is not None:
                    corrected = [ids.index(i) for i in given.corrected]
                    planes, ids = merged_planes(planes, ids, given)
                    rows = [*corrected, *range(len(ids) - len(given.new), len(ids))]
                    identities.start(rows, planes[rows], look.small, answer.foreground)
                yield _frame(look.index, ids, planes)

    def _looks(self, video: Video, first: int, height: int, width: int) -> Iterator[_Look]:
        """Every frame from ``first`` on with its flow and the picture of it."""
        previous: np.ndarray | None = None
        for index in range(first, len(video)):
            image = video[index]
            small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            picture, flow = None, np.zeros((height, width, 2), dtype=np.float32)
            if previous is not None:
                flow = self._flow(small, previous)
            if self.options.flow == "pictures":
                picture = read_picture(self.options.pictures, video, index)
            elif self.options.flow != "none" and previous is not None:
                # Forward motion, as the network was trained with, if the motion is steady.
                picture = flow_picture(-flow)
            yield _Look(index, image, small, flow, picture)
            previous = small


@dataclass(frozen=True)
class _Look:
    """One frame: as it is, at the size of the split, with its flow and that as a picture."""

    index: int
    image: np.ndarray
    small: np.ndarray
    flow: np.ndarray
    picture: np.ndarray | None


def _batches(looks: Iterator[_Look], count: int) -> Iterator[list[_Look]]:
    while batch := list(islice(looks, count)):
        yield batch


def _frame(index: int, ids: tuple[int, ...], planes: np.ndarray) -> FrameMasks:
    expansion = Expansion("probability")
    presence, confidence = presence_and_confidence(planes, expansion)
    return FrameMasks(index, ids, presence, confidence, planes, expansion)
