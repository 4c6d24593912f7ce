"""What a recipe would need: measured on two steps, which leave nothing behind."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from finetune.failures import check_recipe_device
from finetune.models import official_state, torch_bytes
from finetune.recipe import Recipe, ValidationOptions
from finetune.trainer import Trainer, configured_processor
from finetune.training_options import LaunchOptions

WARM, MEASURED = 1, 2


def estimate(recipe: Recipe) -> str:
    """A few lines: parameters, size of the weights, memory, seconds per step, time in all."""
    check_recipe_device(recipe)
    # Clips are made in between, so that the two costs can be told apart; of several workers
    # one is measured, without what it costs to average gradients.
    workers = recipe.launch.workers
    short = replace(
        recipe,
        batch=recipe.batch // workers,
        launch=LaunchOptions(),
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
    seconds = (times[-1] - times[WARM]) / MEASURED
    count = sum(p.numel() for p in trainer.network.parameters())
    state = official_state(recipe.network, trainer.weights())
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    clips = trainer.make_batches()
    started = time.monotonic()
    clips(0)
    drawing = (time.monotonic() - started) * recipe.accumulate
    if recipe.device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated(recipe.device) / 2**30
    else:
        unit = 2**30 if sys.platform == "darwin" else 2**20
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    each = f", each of {workers} workers" if workers > 1 else ""
    return "\n".join(
        [
            f"parameters       {count / 1e6:.2f} M",
            f"weights, fp16    {len(torch_bytes(half)) / 1e6:.2f} MB",
            f"peak memory      {memory:.2f} GiB{each}",
            f"a step           {seconds:.2f} s, of which {drawing:.2f} s make clips",
            f"{recipe.steps} steps       {seconds * recipe.steps / 3600:.2f} h without validation"
            " (less with workers that make clips)",
        ]
    )
