"""Where clips come from: a data set with full labels, or `mose.synthetic` on the fly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import cv2
import numpy as np

from finetune.clip_options import SYNTHETIC, DataOptions, LabelledVideos
from finetune.data.compose import IDS, TrainingClip
from mose import InputError
from mose.dataset import Dataset, matches_name, open_dataset
from mose.labels import NoLabels
from mose.layout import ANNOTATIONS
from mose.masks import object_ids
from mose.synthetic import make_clip
from stseg.text import read_json

ATTEMPTS = 50
"""This many crops are tried before a data set counts as one without objects."""
SAME_VIDEO = 10
"""So many of them on one video, before another one is drawn."""


class ClipSource(Protocol):
    """Draws a clip."""

    def __call__(self, rng: np.random.Generator, /) -> TrainingClip: ...


@dataclass(frozen=True)
class SyntheticClips:
    """Clips drawn by `mose.synthetic`; frames of 1 to N objects."""

    options: DataOptions

    def __call__(self, rng: np.random.Generator) -> TrainingClip:
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
            return TrainingClip.sure(clip.frames, clip.labels)
        frames = [cv2.resize(frame, (size, size)) for frame in clip.frames]
        return TrainingClip.sure(np.stack(frames), clip.labels.repeat(2, axis=1).repeat(2, axis=2))


class FolderClips:
    """Clips from the videos of a data set: a random stretch, step, direction and crop."""

    def __init__(self, options: DataOptions):
        self.options = options
        self.dataset = open_labelled(options)
        self.videos = select_videos(self.dataset, options)
        self.weights = read_weights(options.weights) if options.weights else {}

    def __call__(self, rng: np.random.Generator) -> TrainingClip:
        name = ""
        for attempt in range(ATTEMPTS):
            # A crop misses small objects more often: their videos are not to count less for it.
            if attempt % SAME_VIDEO == 0:
                name = self.videos[int(rng.integers(len(self.videos)))]
            clip = self._draw(name, rng)
            if clip is not None:
                return clip
        raise InputError(
            f"no clip of {self.options.frames} labelled frames with an object was found in"
            f" {self.dataset.root} in {ATTEMPTS} attempts: give data with full labels,"
            " shorter clips (data.frames) or larger crops (data.crop)"
        )

    def _draw(self, name: str, rng: np.random.Generator) -> TrainingClip | None:
        options = self.options
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
        weights = np.ones((len(masks), IDS), np.float32)
        known = self.weights.get(name, {})
        for row, index in zip(weights, indices, strict=True):
            for object_id, weight in known.get(labels.paths[index][0].path.stem, {}).items():
                row[int(object_id)] = weight
        return TrainingClip(np.stack(frames), np.stack(masks), weights)


class MixedClips:
    """Clips of one source, and a share of another's."""

    def __init__(self, usual: ClipSource, other: ClipSource, share: float):
        self.usual, self.other, self.share = usual, other, share

    def __call__(self, rng: np.random.Generator) -> TrainingClip:
        return (self.other if rng.random() < self.share else self.usual)(rng)


Weights: TypeAlias = dict[str, dict[str, dict[str, float]]]
"""Video -> frame -> object id -> weight in [0, 1]."""


def read_weights(path: str) -> Weights:
    """A file of weights; `InputError` where it is missing or damaged."""
    weights: Weights = read_json(path, "file of weights")
    return weights


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
    if options.dataset == SYNTHETIC:
        return SyntheticClips(options)
    clips = FolderClips(options)
    if options.labelled is None:
        return clips
    other = replace(options, dataset=options.labelled, labels=None, videos=(), weights=None)
    return MixedClips(clips, FolderClips(other), options.labelled_share)
