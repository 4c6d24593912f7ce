"""What a recipe would need: measured on a few steps, which leave nothing behind."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from finetune.failures import check_recipe_device
from finetune.models import official_state, torch_bytes
from finetune.recipe import TrainingRecipe, ValidationOptions
from finetune.stages import Stage
from finetune.trainer import Trainer, configured_processor
from finetune.training_options import LaunchOptions
from mose import InputError

WARM, MEASURED = 1, 2


@dataclass(frozen=True)
class Needs:
    """What a few steps of a training took.

    seconds    of a step, with making its clips
    drawing    seconds of a step that make clips
    memory     peak in GiB
    bytes      of the weights in float16
    """

    parameters: int
    bytes: int
    memory: float
    seconds: float
    drawing: float


def estimate(recipe: TrainingRecipe) -> str:
    """A few lines: parameters, size of the weights, memory, seconds per step, time in all."""
    check_recipe_device(recipe)
    # Of several workers one is measured, without what it costs to average gradients.
    workers = recipe.launch.workers
    needs = measure_needs(replace(recipe, batch=recipe.batch // workers, launch=LaunchOptions()))
    each = f", each of {workers} workers" if workers > 1 else ""
    return "\n".join(
        [
            f"parameters       {needs.parameters / 1e6:.2f} M",
            f"weights, fp16    {needs.bytes / 1e6:.2f} MB",
            f"peak memory      {needs.memory:.2f} GiB{each}",
            f"a step           {needs.seconds:.2f} s, of which {needs.drawing:.2f} s make clips",
            f"{recipe.steps} steps       {needs.seconds * recipe.steps / 3600:.2f} h without"
            " validation (less with workers that make clips)",
        ]
    )


def estimate_stages(stages: Sequence[Stage]) -> Iterator[str]:
    """A line for every stage as soon as it is measured: its steps, their time, where it starts.

    Measured with one clip to a batch, on this machine's CPU where the stage's device is not here.
    """
    width = max(len(str(stage.name)) for stage in stages)
    yield f"{'stage':{width}}   steps   hours  what it starts from"
    total = 0.0
    for stage in stages:
        recipe, note = stage.recipe, ""
        try:
            check_recipe_device(recipe)
        except InputError:
            recipe, note = replace(recipe, device="cpu"), f"; on this CPU, made for {recipe.device}"
        clips = recipe.batch * recipe.accumulate
        needs = measure_needs(_from_nothing(stage, recipe))
        hours = needs.seconds * clips * recipe.steps / 3600
        total += hours
        start = ", ".join(str(name) for name in stage.needs) or "nothing"
        yield f"{stage.name!s:{width}}  {recipe.steps:6d}  {hours:6.2f}  {start}{note}"
    yield f"{'all':{width}}          {total:6.2f}  without validation, clips made in between"


def _from_nothing(stage: Stage, recipe: TrainingRecipe) -> TrainingRecipe:
    """A stage's recipe with one clip to a batch and random weights of the same sizes.

    The weights that it starts from may not be there yet, and change no time.
    """
    sizes = dict(stage.sizes)
    if recipe.network == "sam2" and recipe.weights is not None:
        sizes["image_size"] = recipe.data.size  # as `finetune.networks.sam2.load_sam2` has it
    return replace(
        recipe,
        sizes=sizes,
        weights=None,
        warm_start=None,
        encoders=None,
        keys=None,
        batch=1,
        accumulate=1,
        launch=LaunchOptions(),
    )


def measure_needs(recipe: TrainingRecipe) -> Needs:
    """Train a few steps of a recipe in a folder that is removed."""
    # Clips are made in between, so that the two costs can be told apart.
    short = replace(
        recipe,
        tensorboard=False,
        steps=WARM + MEASURED,
        save_every=WARM + MEASURED,
        workers=0,
        validation=ValidationOptions(),
    )
    with tempfile.TemporaryDirectory() as folder, configured_processor(recipe):
        trainer = Trainer(short, Path(folder))
        times = [time.monotonic()]
        trainer.run(lambda step, note: times.append(time.monotonic()))
    state = official_state(recipe.network, trainer.weights())
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    clips = trainer.make_batches()
    started = time.monotonic()
    clips(0)
    return Needs(
        parameters=sum(p.numel() for p in trainer.network.parameters()),
        bytes=len(torch_bytes(half)),
        memory=_peak_memory(recipe.device),
        seconds=(times[-1] - times[WARM]) / MEASURED,
        drawing=(time.monotonic() - started) * recipe.accumulate,
    )


def _peak_memory(device: str) -> float:
    """GiB that this process took at most."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
