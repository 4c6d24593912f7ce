"""A member learns one video at a time: a few steps on its given and its sure masks, then it runs
over it, and the weights are thrown away. The masks stay, and join the run as a member of files.

::

    MASKS/<video>/00000.png   what the adapted member says; a video is whole when it is there
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

import adapters
from adapters.weights.store import resolve
from ensemble.fusion.frame_loop import with_given
from finetune.failures import TrainingDiverged
from finetune.holdout import video_score
from finetune.launch import TrainingJob
from finetune.recipe import TrainingRecipe
from mose import Video
from mose.masks import write_mask
from stseg.cli import print_line
from stseg.files import appearing
from stseg.text import read_json
from study.rounds.learning import Pupil, Train
from study.rounds.options import WEIGHTS, RoundsConfig
from study.rounds.source import FinishedRun


def adapt_per_video(pupil: Pupil, config: RoundsConfig, source: FinishedRun, train: Train) -> None:
    """Write the masks of all videos of a run into ``pupil.output``; those that are there stay."""
    frames = read_json(pupil.lessons.training / WEIGHTS, "file of weights")
    work = pupil.output / ".training"
    for name in source.records:
        target = pupil.output / name
        if target.is_dir():
            continue
        shutil.rmtree(work, ignore_errors=True)
        weights = resolve(str(pupil.member.weights))
        if name in frames:
            recipe = short_recipe(pupil.recipe(config), name, frames, config.rounds.video_steps)
            weights = adapted_weights(recipe, work, f"{pupil.title}, video {name}", train)
        segmenter = adapters.load(
            pupil.member.adapter, weights, pupil.device, **pupil.member.options
        )
        with appearing(target) as folder:
            write_masks(segmenter, source.dataset.video(name), folder)
        shutil.rmtree(work, ignore_errors=True)


def short_recipe(
    recipe: TrainingRecipe, name: str, frames: Mapping[str, object], steps: int
) -> TrainingRecipe:
    """A recipe for one video.

    frames   of each video of the training set, by name: clips are no longer than there are some
    """
    there = frames[name]
    assert isinstance(there, Mapping)
    return replace(
        recipe,
        steps=steps,
        save_every=steps,
        data=replace(recipe.data, videos=(name,), frames=min(recipe.data.frames, len(there))),
        optimiser=replace(recipe.optimiser, warm_up=min(recipe.optimiser.warm_up, steps // 4)),
    )


def adapted_weights(recipe: TrainingRecipe, output: Path, title: str, train: Train) -> Path:
    """The weights after a short training; where its loss is not finite, those before it."""
    try:
        train(TrainingJob(recipe, output, resume=False, score=video_score))
    except TrainingDiverged as error:
        print_line(f"{title}: {error}; it runs as it was")
        return resolve(str(recipe.weights))
    return output / "last.safetensors"


def write_masks(segmenter: adapters.Segmenter, video: Video, folder: Path) -> None:
    """Write what a segmenter says of every frame of a video."""
    for frame in segmenter.segment(video):
        ids = frame.labels(video.height, video.width).astype(np.uint8)
        ids = with_given(ids, video, frame.index)
        write_mask(folder / f"{video.frame_names[frame.index]}.png", ids)
