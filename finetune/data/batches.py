"""Batches of training clips: drawn, augmented, as tensors, made ahead by worker processes.

A batch is a function of (seed, number): the same two give the same batch, in any process
and after any restart, so that training resumes exactly.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context, parent_process

import cv2
import numpy as np
import torch
from torch import Tensor

from adapters.shared.optical_flow import DenseFlow, flow_picture
from finetune.clip_options import AugmentOptions
from finetune.data.augment import augment
from finetune.data.compose import TrainingClip, compose_clip
from finetune.data.sources import ClipSource
from mose import InputError
from mose.masks import VOID

LEAST_PIXELS = 16
"""An object with fewer pixels in the first frame cannot be learnt from."""
ATTEMPTS = 50
"""This many augmented clips are tried before a data set counts as one without objects."""


@dataclass(frozen=True)
class ClipBatch:
    """B clips of T frames with up to N objects.

    frames     ``(B, T, 3, H, W) float32`` RGB in [0, 1]
    masks      ``(B, T, N, H, W) float32`` 0 or 1, one object per pixel at most
    valid      ``(B, N) bool``: there is such an object, and it is in the first frame
    pictures   ``(B, T, 3, H, W)`` pictures of the flow like frames, or None
    first      place of the first clip in the batch of which these are a worker's share
    ignore     ``(B, T, H, W) bool``: what is there is not known (255 in the labels); None: nothing
    weights    ``(B, T, N) float32`` in [0, 1]: how much each mask counts; None: all count fully
    """

    frames: Tensor
    masks: Tensor
    valid: Tensor
    pictures: Tensor | None = None
    first: int = 0
    ignore: Tensor | None = None
    weights: Tensor | None = None

    @property
    def length(self) -> int:
        return self.frames.shape[1]

    def to(self, device: str) -> ClipBatch:
        """On another device."""

        def moved(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        return replace(
            self,
            frames=self.frames.to(device),
            masks=self.masks.to(device),
            valid=self.valid.to(device),
            pictures=moved(self.pictures),
            ignore=moved(self.ignore),
            weights=moved(self.weights),
        )


@dataclass(frozen=True)
class BatchMaker:
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
        parts = (torch.stack(part) for part in zip(*clips, strict=True))
        frames, masks, valid, ignore, weights, pictures = parts
        return ClipBatch(
            frames,
            masks,
            valid,
            pictures if self.pictures else None,
            self.first,
            ignore if ignore.any() else None,
            weights if (weights < 1).any() else None,
        )

    def _drawn(self, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Draw a clip with an object to follow; it is drawn again if augmentation pushed all
        objects out."""
        for _ in range(ATTEMPTS):
            clip = compose_clip(self.source(rng), partial(self.source, rng), self.augmentation, rng)
            images, masks, valid, ignore, weights = self._clip(clip, rng)
            if valid.any():
                pictures = flow_pictures(images) if self.pictures else torch.zeros(0)
                return images, masks, valid, ignore, weights, pictures
        raise InputError(
            f"no clip whose first frame shows {LEAST_PIXELS} pixels of an object was found in"
            f" {ATTEMPTS} attempts: weaken augment, or give data with larger objects"
        )

    def _clip(self, clip: TrainingClip, rng: np.random.Generator) -> tuple[Tensor, ...]:
        images = torch.tensor(clip.frames).permute(0, 3, 1, 2).float() / 255
        images, ids = augment(images, torch.tensor(clip.labels), self.augmentation, rng)
        first = np.bincount(ids[0].flatten().numpy(), minlength=256)
        seen = [i for i in range(1, VOID) if first[i] >= LEAST_PIXELS]
        chosen = rng.permutation(seen)[: self.objects]
        masks = torch.zeros(len(ids), self.objects, *ids.shape[1:])
        weights = torch.ones(len(ids), self.objects)
        for position, object_id in enumerate(chosen):
            masks[:, position] = ids == int(object_id)
            weights[:, position] = torch.from_numpy(clip.weights[:, object_id])
        valid = torch.arange(self.objects) < len(chosen)
        return images, masks, valid, ids == VOID, weights


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


def ordered_batches(
    make: Callable[[int], ClipBatch], first: int, last: int, workers: int
) -> Generator[ClipBatch, None, None]:
    """BatchMaker ``first`` to ``last - 1``, made ahead by worker processes (0: made here)."""
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
    """Use one thread, and end with the trainer, which cannot shut its pool down if it is killed."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
