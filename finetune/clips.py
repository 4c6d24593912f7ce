"""Training clips: from a data set with full labels, or drawn on the fly by `mose.synthetic`.

A batch is a function of (seed, number): the same two give the same batch, in any process
and after any restart, so that training resumes exactly.
"""

from __future__ import annotations

import fnmatch
import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from multiprocessing import get_context, parent_process
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from adapters.shared.optical_flow import DenseFlow, flow_picture
from finetune.augment import augment
from finetune.clip_options import SYNTHETIC, AugmentOptions, DataOptions
from finetune.compose import composed
from finetune.recipe import ValidationOptions
from mose import InputError
from mose.dataset import ANNOTATIONS, Dataset, open_dataset
from mose.masks import object_ids, read_mask
from mose.synthetic import make_clip

LEAST_PIXELS = 16
"""An object with fewer pixels in the first frame cannot be learnt from."""
ATTEMPTS = 50
"""So many crops, or augmented clips, are tried before a data set counts as one without objects."""


@dataclass(frozen=True)
class ClipBatch:
    """B clips of T frames with up to N objects.

    frames     ``(B, T, 3, H, W) float32`` RGB in [0, 1]
    masks      ``(B, T, N, H, W) float32`` 0 or 1, one object per pixel at most
    valid      ``(B, N) bool``: there is such an object, and it is in the first frame
    pictures   ``(B, T, 3, H, W)`` pictures of the flow like frames, or None
    first      place of the first clip in the batch of which these are a worker's share
    """

    frames: Tensor
    masks: Tensor
    valid: Tensor
    pictures: Tensor | None = None
    first: int = 0

    @property
    def length(self) -> int:
        return self.frames.shape[1]

    def to(self, device: str) -> ClipBatch:
        """On another device."""
        pictures = None if self.pictures is None else self.pictures.to(device)
        return ClipBatch(
            self.frames.to(device),
            self.masks.to(device),
            self.valid.to(device),
            pictures,
            self.first,
        )


class ClipSource(Protocol):
    """Draws a clip: frames ``(T, H, W, 3) uint8`` and id masks ``(T, H, W) uint8``."""

    def __call__(self, rng: np.random.Generator, /) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class SyntheticClips:
    """Clips drawn by `mose.synthetic`; frames of 1 to N objects."""

    options: DataOptions

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        options, size = self.options, self.options.size
        # Without the option nothing is drawn for it: older recipes keep their clips.
        small = bool(options.enlarge) and rng.random() < options.enlarge
        side = size // 2 if small else size
        clip = make_clip(
            int(rng.integers(2**62)),
            options.frames,
            side,
            side,
            int(rng.integers(1, options.objects + 1)),
            options.preset,
            **options.synthetic,
        )
        if not small:
            return clip.frames, clip.labels
        frames = [cv2.resize(frame, (size, size)) for frame in clip.frames]
        return np.stack(frames), clip.labels.repeat(2, axis=1).repeat(2, axis=2)


class FolderClips:
    """Clips from the videos of a data set: a random stretch, step, direction and crop."""

    def __init__(self, options: DataOptions):
        self.options = options
        self.dataset = open_labelled(options)
        self.videos = chosen_videos(self.dataset, options)

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        for _ in range(ATTEMPTS):
            found = self._draw(rng)
            if found is not None:
                return found
        raise InputError(
            f"no clip of {self.options.frames} labelled frames with an object was found in"
            f" {self.dataset.root} in {ATTEMPTS} attempts: give data with full labels,"
            " shorter clips (data.frames) or larger crops (data.crop)"
        )

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
        options = self.options
        name = self.videos[int(rng.integers(len(self.videos)))]
        video = self.dataset.video(name)
        folder = self.dataset.labels_folder(name)
        there = {path.stem for path in folder.glob("*.png")}
        labelled = [i for i, frame in enumerate(video.frame_names) if frame in there]
        longest = (len(labelled) - 1) // (options.frames - 1)
        if longest < 1:
            return None
        low, high = (min(step, longest) for step in options.frame_step)
        step = int(rng.integers(low, high + 1))
        start = int(rng.integers(len(labelled) - step * (options.frames - 1)))
        indices = labelled[start : start + step * (options.frames - 1) + 1 : step]
        if rng.random() < 0.5:
            indices = indices[::-1]
        side = max(int(min(video.height, video.width) * rng.uniform(options.crop, 1)), 1)
        top = int(rng.integers(video.height - side + 1))
        left = int(rng.integers(video.width - side + 1))
        window = (slice(top, top + side), slice(left, left + side))

        size = (options.size, options.size)
        masks: list[np.ndarray] = []
        for index in indices:
            path = folder / f"{video.frame_names[index]}.png"
            ids = read_mask(path)
            if ids.shape != (video.height, video.width):
                raise InputError(f"mask {path} is not as large as the frames: make them equal")
            small = cv2.resize(ids[window], size, interpolation=cv2.INTER_NEAREST)
            if not masks and not object_ids(small):
                return None
            masks.append(small)
        how = cv2.INTER_AREA if side > options.size else cv2.INTER_LINEAR
        frames = [cv2.resize(video[i][window], size, interpolation=how) for i in indices]
        return np.stack(frames), np.stack(masks)


def open_labelled(options: DataOptions | ValidationOptions) -> Dataset:
    """The data set of the options, with labels."""
    labels = options.labels or ANNOTATIONS
    return open_dataset(options.dataset, options.split, labels=labels)


def chosen_videos(dataset: Dataset, options: DataOptions | ValidationOptions) -> tuple[str, ...]:
    """The videos that the patterns choose; `InputError` where none is left."""

    def matches(name: str, patterns: tuple[str, ...]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    chosen = [n for n in dataset.videos if not options.videos or matches(n, options.videos)]
    chosen = [name for name in chosen if not matches(name, options.exclude)]
    if not chosen:
        raise InputError(
            f"no video of {dataset.root} is left by the patterns of videos and exclude: change them"
        )
    return tuple(chosen)


def open_clips(options: DataOptions) -> ClipSource:
    """The source that the options name."""
    return SyntheticClips(options) if options.dataset == SYNTHETIC else FolderClips(options)


@dataclass(frozen=True)
class Batches:
    """Makes batch ``number``: drawn, augmented, as tensors.

    pictures   also make the pictures of the flow from frame to frame
    first      clips ``first .. first + size - 1`` of the batch: a worker's share
    """

    source: ClipSource
    augmentation: AugmentOptions
    objects: int
    size: int
    seed: int
    pictures: bool = False
    first: int = 0

    def __call__(self, number: int) -> ClipBatch:
        # One thread: the trainer's own need the cores, and workers are processes already.
        cv2.setNumThreads(1)
        clips = []
        for index in range(self.first, self.first + self.size):
            clips.append(self._drawn(np.random.default_rng([self.seed, number, index])))
        frames, masks, valid, pictures = (torch.stack(part) for part in zip(*clips, strict=True))
        return ClipBatch(frames, masks, valid, pictures if self.pictures else None, self.first)

    def _drawn(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A clip with an object to follow; augmentation may push all of them out of it."""
        for _ in range(ATTEMPTS):
            clip = composed(self.source(rng), partial(self.source, rng), self.augmentation, rng)
            images, masks, valid = self._clip(*clip, rng)
            if valid.any():
                pictures = flow_pictures(images) if self.pictures else torch.zeros(0)
                return images, masks, valid, pictures
        raise InputError(
            f"no clip whose first frame shows {LEAST_PIXELS} pixels of an object was found in"
            f" {ATTEMPTS} attempts: weaken augment, or give data with larger objects"
        )

    def _clip(
        self, frames: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        images = torch.tensor(frames).permute(0, 3, 1, 2).float() / 255
        images, ids = augment(images, torch.tensor(labels), self.augmentation, rng)
        if self.augmentation.scatter and rng.random() < self.augmentation.scatter:
            images, ids = scattered(images, ids, rng)
        first = np.bincount(ids[0].flatten().numpy(), minlength=256)
        seen = [i for i in range(1, 255) if first[i] >= LEAST_PIXELS]
        chosen = rng.permutation(seen)[: self.objects]
        masks = torch.zeros(len(ids), self.objects, *ids.shape[1:])
        for position, object_id in enumerate(chosen):
            masks[:, position] = ids == int(object_id)
        valid = torch.arange(self.objects) < len(chosen)
        return images, masks, valid


def scattered(images: Tensor, ids: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A clip whose frames but the first are each rolled by a distance of their own."""
    moves = [(0, 0), *(tuple(rng.integers(0, ids.shape[1:]).tolist()) for _ in images[1:])]
    rolled = [
        torch.stack([frame.roll(move, (-2, -1)) for frame, move in zip(part, moves, strict=True)])
        for part in (images, ids)
    ]
    return rolled[0], rolled[1]


def flow_pictures(images: Tensor) -> Tensor:
    """Pictures of the flow of ``(T, 3, H, W)`` frames, as the TMO adapter makes them.

    The first frame, which has no flow, stands in for its own picture.
    """
    method = DenseFlow("medium")
    frames = [np.ascontiguousarray(f) for f in to_bytes(images)]
    pictures = [images[0]]
    for previous, now in pairwise(frames):
        picture = flow_picture(-method(now, previous))
        pictures.append(torch.tensor(picture).permute(2, 0, 1).float() / 255)
    return torch.stack(pictures)


def to_bytes(images: Tensor) -> np.ndarray:
    """``(T, 3, H, W)`` in [0, 1] as ``(T, H, W, 3) uint8``."""
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def in_order(
    make: Callable[[int], ClipBatch], first: int, last: int, workers: int
) -> Generator[ClipBatch, None, None]:
    """Batches ``first`` to ``last - 1``, made ahead by worker processes (0: made here)."""
    if workers < 1:
        for number in range(first, last):
            yield make(number)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker)
    waiting: deque[Future[ClipBatch]] = deque()
    try:
        for number in range(first, last):
            waiting.append(pool.submit(make, number))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """One thread, and an end with the trainer: a killed one cannot shut its pool down."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
