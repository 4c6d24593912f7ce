"""Running a network over a video: working sizes, given masks, encoding ahead, answers.

The loop that the adapters of XMem, Cutie and LiVOS share. What a network remembers of a video is
in its `Propagator`; everything else about a frame is here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from adapters.base import FrameMasks
from adapters.expansion import Expansion
from adapters.networks.blocked import Blocked
from adapters.networks.fused import available, fuse_blocks
from adapters.networks.ops import (
    Window,
    aggregate,
    pad_to_multiple,
    resize,
    unpad,
    upsample,
)
from adapters.networks.resnet import ResNet, fold_batch_norm
from adapters.shared.confidence import presence_and_confidence
from adapters.shared.given import GivenPlanes
from adapters.shared.testtime import TestTimeOptions, autocast, compiled
from mose import Video
from mose.corrections import GivenMasks
from mose.masks import object_ids

NetworkType = TypeVar("NetworkType", bound=nn.Module)

STRIDE = 16
"""Networks take sides that are multiples of this."""

RULES = {
    "logits": "aggregate-upsample",
    "plain logits": "upsample-aggregate",
    "probabilities": "probability",
}
"""Form of an `Answer` -> rule of its `Expansion`."""

DECISIVE = ("image_encoder", "key_projection", "key_reduction")
"""Parts that alone decide which memory tokens are read. Where two are nearly as similar, the
rounding of keys decides, so these are computed on contiguous tensors: their rounding is then a
third less than with channels last or fused (2.5e-6 against 3.6e-6 of XMem's keys in float64)."""

ABSENT_LOGIT = -50.0
"""Of an object that the network does not follow."""


@dataclass(frozen=True)
class Encoded:
    """One frame, ready for the mask networks.

    index      frame index in the video
    image      ``(B, 3, H, W)`` RGB in [0, 1], padded; the second of two is the mirrored one
    window     where the picture lies in it
    features   what the image encoder says of it, a named tuple of tensors
    """

    index: int
    image: Tensor
    window: Window
    features: Any


class Answer(NamedTuple):
    """Masks of the N objects that are followed, padding included.

    form     "logits": ``(N, H / 4, W / 4)``, to be aggregated and then upsampled;
             "plain logits": the same, to be upsampled and then aggregated;
             "probabilities": ``(N, H, W)``;
             "odds": ``(N + 1, H, W)`` log-odds with the background, resized before squashing
    """

    form: str
    masks: Tensor


class Propagator(Protocol):
    """One network on one video, with what it remembers of it."""

    def step(self, frame: Encoded, given: GivenPlanes | None, last: bool) -> Answer:
        """The next frame, and the masks that come with it."""
        ...


@dataclass(frozen=True)
class Working:
    """The size at which a network works on a video.

    size    (height, width) that frames and masks are resized to, with antialiasing
    limit   of the shorter side after that, without antialiasing; -1: none
    """

    size: tuple[int, int]
    limit: int
    device: str

    @property
    def limited(self) -> tuple[int, int]:
        """(height, width) that the network sees, before padding."""
        least = min(self.size)
        if self.limit < 1 or least <= self.limit:
            return self.size
        height, width = (int(side / least * self.limit) for side in self.size)
        return height, width

    def picture(self, frame: np.ndarray) -> Tensor:
        """``(H, W, 3) uint8`` -> ``(1, 3, h, w) float32`` in [0, 1]."""
        image = torch.tensor(frame, device=self.device).permute(2, 0, 1)[None].float().div_(255)
        return resize(resize(image, self.size, antialias=True), self.limited)

    def planes(self, ids: np.ndarray) -> tuple[tuple[int, ...], Tensor]:
        """The ids that a given mask ``(H, W) uint8`` has at the working size, and ``(N, h, w)
        float32`` planes of 0 and 1 for them, padded."""
        if ids.shape != self.size:
            nearest = Image.Resampling.NEAREST
            ids = np.asarray(Image.fromarray(ids).resize(self.size[::-1], nearest))
        present = object_ids(ids)
        mask = torch.tensor(ids, device=self.device)
        wanted = torch.tensor(present, dtype=mask.dtype, device=self.device)
        planes = (mask == wanted[:, None, None]).float()
        if present:
            planes = resize(planes[None], self.limited, "nearest-exact")[0]
        return present, pad_to_multiple(planes, STRIDE)[0]

    def padded(self, pictures: Tensor) -> tuple[Tensor, Window]:
        """Pictures ``(B, 3, h, w)`` with sides that the network takes, and where they lie."""
        return pad_to_multiple(pictures, STRIDE)


@dataclass(frozen=True)
class ImageEncoding:
    """How the frames of a video are encoded.

    encode   the image encoder: ``(B, 3, H, W)`` RGB in [0, 1] -> a named tuple of tensors
    ahead    frames whose images are encoded in one batch
    mirror   each frame comes together with its mirror image
    amp      see `TestTimeOptions`; the masks are computed with it as well
    """

    encode: Callable[[Tensor], Any]
    ahead: int = 1
    mirror: bool = False
    amp: str = "off"


def propagate(
    video: Video, propagator: Propagator, working: Working, encoding: ImageEncoding
) -> Iterator[FrameMasks]:
    """Carry the given masks through the video, one answer per frame.

    An object whose mask has no pixel at the working size is not followed, as in the
    reference implementations; it is in the answers, and absent. A correction without a pixel
    there changes nothing, and one that has some of an object that is not followed starts it.
    """
    first = min(video.prompts)
    for index in range(first):
        yield _empty(index, (), video)
    ids: tuple[int, ...] = ()
    followed: tuple[int, ...] = ()
    for frame in _encoded(video, first, working, encoding):
        given = None
        masks = video.given(frame.index)
        if masks is not None:
            given, new = _planes(masks, followed, frame.image, working)
            ids += masks.new
            followed += new
        if not followed:
            yield _empty(frame.index, ids, video)
            continue
        with torch.inference_mode():
            with autocast(working.device, encoding.amp):
                answer = propagator.step(frame, given, frame.index == len(video) - 1)
            native, expansion = _native(answer, frame, working, video)
        if followed != ids:
            native = _spread(native, [ids.index(i) for i in followed], len(ids), answer.form)
        presence, confidence = presence_and_confidence(native, expansion)
        yield FrameMasks(frame.index, ids, presence, confidence, native, expansion)


def ready(
    network: NetworkType,
    device: str,
    options: TestTimeOptions,
    notes: list[str],
    decisive: Collection[str] = DECISIVE,
) -> NetworkType:
    """A network for inference: channels last, compiled where asked for.

    Norms are folded into convolutions. In full precision on a CPU the residual blocks of
    encoders are fused, and the ``decisive`` parts are contiguous.
    """
    network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    exact = device == "cpu" and options.amp == "off"
    ours = exact and not options.compile and available()
    for name, part in list(network.named_children()):
        fold_batch_norm(part)
        if exact and name in decisive:
            part.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            if ours and isinstance(part, ResNet):
                setattr(network, name, Blocked(part))
        elif ours:
            fuse_blocks(part)
    if options.compile:
        for name in ("encode_images", "encode_masks", "refine", "decode"):
            if hasattr(network, name):
                setattr(network, name, compiled(getattr(network, name), options, notes))
    return network


def _encoded(
    video: Video, first: int, working: Working, encoding: ImageEncoding
) -> Iterator[Encoded]:
    """Every frame from ``first`` on, the images of several frames encoded in one batch."""
    copies = 2 if encoding.mirror else 1
    for start in range(first, len(video), encoding.ahead):
        indices = range(start, min(start + encoding.ahead, len(video)))
        with torch.inference_mode():
            pictures = torch.cat([working.picture(video[index]) for index in indices])
            images, window = working.padded(pictures)
            if encoding.mirror:
                images = torch.stack([images, images.flip(-1)], 1).flatten(0, 1)
            images = images.contiguous(memory_format=torch.channels_last)
            with autocast(working.device, encoding.amp):
                batch = encoding.encode(images)
        for place, index in enumerate(indices):
            part = slice(place * copies, (place + 1) * copies)
            features = type(batch)(*(x[part] for x in batch))
            yield Encoded(index, images[part], window, features)


def _planes(
    masks: GivenMasks, followed: tuple[int, ...], image: Tensor, working: Working
) -> tuple[GivenPlanes | None, tuple[int, ...]]:
    """What a network is given of masks, and the ids of its new objects."""
    ids: tuple[int, ...] = ()
    planes = image.new_zeros(0, *image.shape[-2:])
    if masks.mask.any():
        ids, planes = working.planes(masks.mask)
    for object_id in masks.whole:
        _, plane = working.planes(masks.plane(object_id).astype(np.uint8))
        if object_id in ids and len(plane):
            planes[ids.index(object_id)] = plane[0]
    new = tuple(i for i in ids if i not in followed)
    corrected = [i for i in followed if i in ids or i in masks.gone]
    if not corrected:
        return (GivenPlanes((), planes) if new else None), new
    empty = planes.new_zeros(planes.shape[-2:])
    rows = [planes[ids.index(i)] if i in ids else empty for i in (*corrected, *new)]
    return GivenPlanes(tuple(map(followed.index, corrected)), torch.stack(rows)), new


def _native(
    answer: Answer, frame: Encoded, working: Working, video: Video
) -> tuple[np.ndarray, Expansion]:
    """What `FrameMasks` carries, and its rule."""
    masks, form = answer.masks, answer.form
    height, width = frame.image.shape[-2:]
    whole = (video.height, video.width)
    if form == "odds":
        odds = resize(unpad(masks, frame.window)[None], whole)[0]
        return odds.softmax(0)[1:].float().cpu().numpy(), Expansion("probability")
    if working.limited != working.size != whole:
        # Two resizes on the way back; an expansion has one.
        if form == "logits":
            masks = upsample(aggregate(masks.sigmoid())[None], 4)[0].softmax(0)[1:]
        masks = resize(unpad(masks, frame.window)[None], working.size)[0]
        return masks.float().cpu().numpy(), Expansion("probability")
    rule = RULES[form]
    return masks.float().cpu().numpy(), Expansion(rule, (height, width), frame.window)


def _spread(native: np.ndarray, places: list[int], count: int, form: str) -> np.ndarray:
    fill = ABSENT_LOGIT if form == "logits" else 0.0
    wide = np.full((count, *native.shape[1:]), fill, dtype=np.float32)
    wide[places] = native
    return wide


def _empty(index: int, ids: tuple[int, ...], video: Video) -> FrameMasks:
    """No object anywhere."""
    none = np.zeros(len(ids), dtype=np.float32)
    native = np.zeros((len(ids), 1, 1), dtype=np.float32)
    return FrameMasks(index, ids, none, none, native, Expansion("probability"))
