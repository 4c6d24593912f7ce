"""J&F of a checkpoint on a hold-out, through the adapter itself as at inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

import numpy as np

import adapters
from finetune.clip_options import SYNTHETIC
from finetune.data.sources import open_labelled, select_videos
from finetune.recipe import TrainingRecipe, ValidationOptions
from finetune.workers import WorkerGroup
from mose import InputError, Video
from mose.masks import VOID
from mose.synthetic import make_clip
from selection.metrics import VideoScorer

VideoScore = Callable[[list[np.ndarray], list[np.ndarray]], float]
"""J&F of a video's predicted and true id masks, first and last frame left out."""

WHOLE = slice(None)
HOLD_OUT_SEED = 2**62
"""Synthetic hold-out videos have seeds from here on; training draws from below."""


def evaluator(
    recipe: TrainingRecipe, score: VideoScore, group: WorkerGroup | None = None
) -> Callable[[Path], float]:
    """A function from a checkpoint to its mean J&F in percent over the hold-out's videos.

    group   the workers that share the videos; all call the function and get the mean over all
    Raises `InputError` before any training if there are none.
    """
    options, workers = recipe.hold_out, group or WorkerGroup()
    share = slice(workers.rank, None, workers.size)
    if options.dataset != SYNTHETIC:
        select_videos(open_labelled(options), options)

    def evaluate(weights: Path) -> float:
        segmenter = adapters.load(recipe.network, weights, recipe.device, **options.options)
        scores = []
        for video, truth in labelled_videos(options, share):
            masks = [f.labels(video.height, video.width) for f in segmenter.segment(video)]
            if len(masks) > 2:
                scores.append(score(masks[1:-1], truth[1:-1]))
        total, count = workers.sum([sum(scores), len(scores)], recipe.device)
        if not count:
            raise InputError("the hold-out has no video of three frames or more: give longer ones")
        return 100 * total / count

    return evaluate


def labelled_videos(
    options: ValidationOptions, share: slice = WHOLE
) -> Iterator[tuple[Video, list[np.ndarray]]]:
    """The hold-out's videos, or a share of them, with an id mask for every frame."""
    if options.dataset == SYNTHETIC:
        for index in range(options.first, options.first + options.count)[share]:
            size = (options.frames, options.size, options.size, options.objects)
            clip = make_clip(HOLD_OUT_SEED + index, *size)
            name = f"hold-out-{index}"
            yield Video.from_arrays(clip.frames, clip.prompts, name), list(clip.labels)
        return
    dataset = open_labelled(options)
    for name in select_videos(dataset, options)[share]:
        video = dataset.video(name)
        labels = dataset.label_masks(name, video)
        labels.check_complete("a hold-out needs one for every frame")
        yield video, [labels.read(path) for path in labels.paths.values()]


def video_score(predicted: list[np.ndarray], true: list[np.ndarray]) -> float:
    """Mean J&F of the objects of a video, in [0, 1], as DAVIS counts."""
    scorer = VideoScorer("davis")
    for prediction, truth in zip(predicted, true, strict=True):
        scorer.add(np.where(truth == VOID, 0, prediction).astype(np.uint8), truth)
    objects = [scores["J&F"] or 0.0 for scores in scorer.scores().values() if scores is not None]
    return fmean(objects) if objects else 1.0
