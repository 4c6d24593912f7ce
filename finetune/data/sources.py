"""Where clips come from: a data set with full labels, or `mose.synthetic` on the fly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from finetune.clip_options import SYNTHETIC, DataOptions, LabelledVideos
from mose import InputError
from mose.dataset import Dataset, matches_name, open_dataset
from mose.labels import NoLabels
from mose.layout import ANNOTATIONS
from mose.masks import object_ids
from mose.synthetic import make_clip

ATTEMPTS = 50
"""This many crops are tried before a data set counts as one without objects."""


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
        self.videos = select_videos(self.dataset, options)

    def __call__(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        for _ in range(ATTEMPTS):
            clip = self._draw(rng)
            if clip is not None:
                return clip
        raise InputError(
            f"no clip of {self.options.frames} labelled frames with an object was found in"
            f" {self.dataset.root} in {ATTEMPTS} attempts: give data with full labels,"
            " shorter clips (data.frames) or larger crops (data.crop)"
        )

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
        options = self.options
        name = self.videos[int(rng.integers(len(self.videos)))]
        video = self.dataset.video(name)
        try:
            labels = self.dataset.label_masks(name, video)
        except NoLabels:
            return None
        labelled = list(labels.paths)
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
            ids = labels.read(labels.paths[index])
            small = cv2.resize(ids[window], size, interpolation=cv2.INTER_NEAREST)
            if not masks and not object_ids(small):
                return None
            masks.append(small)
        how = cv2.INTER_AREA if side > options.size else cv2.INTER_LINEAR
        frames = [cv2.resize(video[i][window], size, interpolation=how) for i in indices]
        return np.stack(frames), np.stack(masks)


def open_labelled(options: LabelledVideos) -> Dataset:
    """The data set of the options, with labels."""
    labels = options.labels or ANNOTATIONS
    return open_dataset(options.dataset, options.split, labels=labels)


def select_videos(dataset: Dataset, options: LabelledVideos) -> tuple[str, ...]:
    """The videos that the patterns choose; `InputError` if none is left."""

    def matches(name: str, patterns: tuple[str, ...]) -> bool:
        return any(matches_name(name, pattern) for pattern in patterns)

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
