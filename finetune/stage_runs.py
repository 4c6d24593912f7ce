"""Training the stages of a recipe: each one that is not trained yet, in order.

The output folder holds a folder per stage, as a single training has it, and in the end what
the recipe ships; stages of other recipes lie beside the output folder, so that several networks
share them::

    runs/finetune/demo_xmem/start/last.safetensors ...
    runs/finetune/demo_xmem/demo-xmem.safetensors, demo-xmem.md
    runs/finetune/demo_cutie/middle/last.safetensors ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save

from adapters.weights.store import resolve
from finetune.averaging import average_checkpoints
from finetune.failures import STATE
from finetune.holdout import VideoScore
from finetune.launch import TrainingJob
from finetune.recipe import TrainingRecipe
from finetune.ship import ship_stage, stored_metadata
from finetune.stages import Stage, StageFolders, missing_stages, parse_stage_name
from finetune.trainer import has_ended, read_state
from mose import InputError
from stseg.cli import print_line
from stseg.files import write_bytes

Train = Callable[[TrainingJob], None]
"""Trains one stage to its end."""


@dataclass(frozen=True)
class StageLocator:
    """Finds what a stage starts from: what another stage left, or weights by path or name."""

    folders: StageFolders

    def __call__(self, weights: str) -> Path:
        name = parse_stage_name(weights)
        return resolve(weights) if name is None else self.folders.left(name)


def train_stages(
    stages: Sequence[Stage], folders: StageFolders, score: VideoScore, train: Train
) -> None:
    """Train stages in order; what is trained is kept, what was interrupted goes on.

    Raises `InputError` for a stage whose folder holds another training, and for one that starts
    from a stage that is not trained.
    """
    for position, stage in enumerate(stages, 1):
        missing = list(missing_stages(stage, folders))
        if missing:
            raise InputError(
                f"stage {stage.name} needs the weights of {missing[0]}, but"
                f" {folders.left(missing[0])} is not there: train without --stage"
            )
        title = f"stage {position} of {len(stages)}, {stage.name}"
        folder = folders.folder(stage.name)
        done = steps_done(stage.recipe, folder)
        if is_trained(stage.recipe, folder):
            print_line(f"{title}: trained")
        else:
            print_line(
                f"{title}: {stage.recipe.steps} steps" + (f", from step {done} on" if done else "")
            )
            train(TrainingJob(stage.recipe, folder, done > 0, score, StageLocator(folders)))
        finish_stage(stage, folders)


def steps_done(recipe: TrainingRecipe, folder: Path) -> int:
    """How many steps of a training its last checkpoint has; 0 without one."""
    if not (folder / STATE).is_file():
        return 0
    return int(read_state(folder, recipe)["step"])


def is_trained(recipe: TrainingRecipe, folder: Path) -> bool:
    """Whether a folder holds a whole training, with its weights."""
    if not (folder / STATE).is_file() or not (folder / "last.safetensors").is_file():
        return False
    state = read_state(folder, recipe)
    return has_ended(recipe, state["step"], state.get("worse", 0))


def finish_stage(stage: Stage, folders: StageFolders) -> None:
    """Write the mean that a trained stage leaves, and ship it, as its ending says."""
    left = folders.left(stage.name)
    if stage.shares:
        sources = {
            folders.trained(name) if name == stage.name else folders.left(name): share
            for name, share in stage.shares.items()
        }
        mean = average_checkpoints(sources)
        metadata = stored_metadata(folders.trained(stage.name))
        write_bytes(left, save({n: t.contiguous() for n, t in mean.items()}, metadata), sync=True)
    if stage.ending.ship is not None:
        ship_stage(stage, left, folders.root)
