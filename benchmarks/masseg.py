"""What each part of MASSeg is worth to a small SAM 2: augmentation, mask scaling, merging.

    python -m benchmarks.masseg --weights demo-sam2 --clips ../shared/clips/davis2016-train

For every seed the videos are parted in two at random, as in `benchmarks.finetune`. On the first
half the network is trained with MASSeg's losses, without augmentation and with it; the second half
scores both, and the second network with MASSeg's scaling of masks into memory and with several
scalings merged (J&F, DAVIS). A finished training is not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from adapters.weights.store import resolve
from benchmarks.finetune import parser_of, tuning
from finetune.clip_options import AugmentOptions
from finetune.holdout import evaluator, video_score
from finetune.launch import TrainingJob, train_here
from finetune.recipe import TrainingRecipe
from finetune.trainer import configured_processor

LOSSES = {"similarity": 1.0, "mask_iou": 1.0, "matching": 0.0}
SCALING = {"sigmoid_scale": 7.5, "sigmoid_bias": -4.0}
MERGE = [
    {"sigmoid_scale": 20.0, "sigmoid_bias": -10.0},
    SCALING,
    {"sigmoid_scale": 30.0, "sigmoid_bias": -12.0, "objects": "small"},
    {"sigmoid_scale": 10.0, "sigmoid_bias": -6.0, "objects": "dense"},
]
"""As configs/members/sam2-large-merged.yaml."""

LINES = ("not fine-tuned", "baseline", "+ augmentation", "+ mask scaling", "+ merging")


def lines(weights: Path, clips: Path, seed: int, output: Path, more: Sequence[str]) -> list[float]:
    """J&F of every line of the table on the second half of the clips."""
    losses = [f"loss.{name}={value}" for name, value in LOSSES.items()]
    augmented = tuning("sam2", weights, clips, seed, [*losses, *more])
    plain = replace(augmented, augment=AugmentOptions())
    trained = {name: output / f"{name}-{seed}" for name in ("plain", "augmented")}
    with configured_processor(augmented):
        found = [scored(augmented, weights)]
        for folder, recipe in zip(trained.values(), (plain, augmented), strict=True):
            train_here(TrainingJob(recipe, folder, (folder / "state.pth").exists(), video_score))
            found.append(scored(recipe, folder / "last.safetensors"))
        for options in (SCALING, {"merge": MERGE}):
            found.append(scored(augmented, trained["augmented"] / "last.safetensors", options))
    return found


def scored(
    recipe: TrainingRecipe, weights: Path, options: dict[str, object] | None = None
) -> float:
    """J&F on the recipe's hold-out, with more options of the adapter."""
    validation = recipe.validation
    validation = replace(validation, options={**validation.options, **(options or {})})
    return evaluator(replace(recipe, validation=validation), video_score)(weights)


def main() -> None:
    chosen = parser_of(__doc__, "masseg").parse_args()
    weights = resolve(chosen.weights)
    print("seed  " + "  ".join(LINES))
    rows = []
    for seed in chosen.seeds:
        rows.append(lines(weights, chosen.clips, seed, chosen.output, chosen.set))
        cells = (f"{v:{len(n)}.1f}" for n, v in zip(LINES, rows[-1], strict=True))
        print(f"{seed:4d}  " + "  ".join(cells), flush=True)
    for name, column in zip(LINES, zip(*rows, strict=True), strict=True):
        spread = stdev(column) if len(column) > 1 else 0.0
        gains = [value - row[0] for value, row in zip(column, rows, strict=True)]
        print(f"{name:15s} {fmean(column):5.1f} (spread {spread:.1f}), {fmean(gains):+.1f}")


if __name__ == "__main__":
    main()
