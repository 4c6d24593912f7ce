"""What fine-tuning on one half of a data set brings on the other half.

    python -m benchmarks.finetune xmem --weights demo-xmem --clips ../shared/clips/davis2016-train

For every seed the videos are parted in two at random; the network is trained on clips of the
first half and scored on the second, before and after, through the adapter (J&F, DAVIS).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from adapters.weights.store import resolve
from finetune.holdout import evaluator, video_score
from finetune.launch import TrainingJob, train_here
from finetune.recipe import TrainingRecipe
from finetune.stages import load_recipe
from finetune.trainer import configured_processor
from mose.dataset import open_dataset


def halves(videos: tuple[str, ...], seed: int) -> tuple[list[str], list[str]]:
    """Two halves of the videos, each ascending; of an odd number the first is the larger."""
    order = np.random.default_rng(seed).permutation(len(videos))
    middle = (len(videos) + 1) // 2
    first, second = (sorted(videos[i] for i in part) for part in (order[:middle], order[middle:]))
    return first, second


def tuning(network: str, weights: Path, clips: Path, seed: int, more: list[str]) -> TrainingRecipe:
    """The demo recipe of a network, changed to go on from weights on one half of the clips.

    Small and short clips, for a CPU.
    """
    train, test = halves(open_dataset(clips, "train").videos, seed)
    changes: dict[str, Any] = {
        "weights": str(weights), "sizes": {}, "warm_start": None, "keys": None, "seed": seed,
        "steps": 200, "batch": 4, "save_every": 1000, "device": "cpu", "workers": 1,
        "data.size": 256, "data.frames": 4, "data.dataset": str(clips),
        "data.videos": train, "data.frame_step": [1, 4], "augment.rotation": 15,
        "augment.scale": 0.2, "augment.paste": 0.3, "augment.occlude": 0.2, "optimiser.rate": 1e-4,
        "optimiser.warm_up": 20, "optimiser.freeze_norms": True, "optimiser.ema": 0.98,
        "loss.hardening": [0, 0], "validation.every": 0, "validation.dataset": str(clips),
        "validation.split": "train", "validation.videos": test,
    }  # fmt: skip
    overrides = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    return load_recipe(f"finetune/demo_{network}", [*overrides, *more])


def parser_of(about: str, output: str) -> argparse.ArgumentParser:
    """What benchmarks of fine-tuning on halves are told; ``output`` lies under runs/finetune."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--weights", required=True, help="a path, or a name as adapters.load has")
    parser.add_argument("--clips", required=True, type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs") / "finetune" / output)
    parser.add_argument("--set", action="append", default=[], help="change a value of the recipe")
    return parser


def main() -> None:
    parser = parser_of(__doc__, "halves")
    parser.add_argument("network")
    chosen = parser.parse_args()
    weights = resolve(chosen.weights)
    gains = []
    print("seed  before  after   gain")
    for seed in chosen.seeds:
        recipe = tuning(chosen.network, weights, chosen.clips, seed, chosen.set)
        output = chosen.output / f"{chosen.network}-{seed}"
        score = evaluator(recipe, video_score)
        with configured_processor(recipe):
            before = score(weights)
            train_here(TrainingJob(recipe, output, (output / "state.pth").exists(), video_score))
            after = score(output / "last.safetensors")
        gains.append(after - before)
        print(f"{seed:4d}  {before:6.1f} {after:6.1f} {after - before:6.1f}", flush=True)
    spread = stdev(gains) if len(gains) > 1 else 0.0
    print(f"gain  {fmean(gains):.1f} on average, {spread:.1f} standard deviation")


if __name__ == "__main__":
    main()
