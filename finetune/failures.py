"""Explains why a training ended early, in one sentence for each known cause."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from pathlib import Path

import torch

from adapters.base import check_device
from finetune.recipe import TrainingRecipe
from mose import InputError

STATE = "state.pth"
"""The file of an output folder from which a training goes on."""


class TrainingDiverged(InputError):
    """The loss or the gradient of a step is not finite; the same step would come again."""


def check_recipe_device(recipe: TrainingRecipe) -> None:
    """`InputError` where the recipe's device is not there."""
    try:
        check_device(recipe.device)
    except InputError as error:
        # Here it is no option of its own.
        raise InputError(str(error).replace("--device cpu", "--set device=cpu")) from None


def explain_failure(error: BaseException, recipe: TrainingRecipe, output: Path) -> str | None:
    """What happened and what to do about it; None for an unknown error."""
    kept = describe_checkpoint(output)
    if isinstance(error, BrokenExecutor):
        return (
            "a process that makes clips was killed, most likely for want of memory: lower"
            f" workers ({recipe.workers}); {kept}"
        )
    if is_out_of_memory(error):
        where = "the GPU" if recipe.device.startswith("cuda") else "this machine"
        remedies = [
            f"batch ({recipe.batch}, with accumulate for the same step)",
            f"data.size ({recipe.data.size})",
            f"data.frames ({recipe.data.frames})",
        ]
        if not recipe.unroll.checkpointing:
            remedies.insert(0, "unroll.checkpointing=true")
        return (
            f"out of memory on {where}: try {' or a smaller '.join(remedies)}; what a training"
            f" needs is said by --dry-run; {kept}"
        )
    return None


def describe_checkpoint(output: Path) -> str:
    """Describe the checkpoint that an interrupted training left."""
    if (output / STATE).exists():
        return f"the last checkpoint in {output} is good: --resume goes on from it"
    return f"it had written no checkpoint to {output} yet"


def describe_weights(output: Path) -> str:
    """From which weights another training can start."""
    path = output / "last.safetensors"
    return f"weights: {path}, which are good" if path.exists() else "the same weights"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means too little memory; for a CPU, PyTorch says so only in the message."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in words or "not enough memory" in words
    )
