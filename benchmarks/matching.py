"""How well a network's memory tells objects apart, whatever its decoder makes of it.

    python -m benchmarks.matching demo-xmem demo-cutie demo-livos

Training clips are unrolled, and the true masks of the frames before are read as values are read
(`finetune.unroll`): the loss of matching, the IoU of the masks so read, cut at a half at
stride 16, and how often they show an object that is away.
"""

from __future__ import annotations

import argparse
from statistics import fmean

import torch
from torch import Tensor

from adapters.networks.ops import area_downsample
from adapters.weights.checkpoints import family_of, load_state
from adapters.weights.store import resolve
from finetune.data.batches import BatchMaker
from finetune.data.sources import open_clips
from finetune.losses import hard_iou
from finetune.models import make_network
from finetune.objective import total_loss
from finetune.stages import load_recipe
from finetune.training_options import LossOptions
from finetune.unroll.base import UnrollInputs
from finetune.unroll.run import unroll

MATCHING = LossOptions(cross_entropy=0, dice=0, matching=1, hardest=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="+", help="paths, or names as adapters.load has")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seed", type=int, default=777)
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="of finetune/demo_cutie, clips"
    )
    chosen = parser.parse_args()
    print(f"{'weights':40}    loss     IoU  shown though away")
    for weights in chosen.weights:
        path = resolve(weights)
        family = family_of(load_state(path))
        given = [f"network={family}", f"weights={path}", "device=cpu", f"seed={chosen.seed}"]
        recipe = load_recipe("finetune/demo_cutie", [*given, *chosen.set])
        batches = BatchMaker(
            open_clips(recipe.data), recipe.augment, recipe.data.objects, 1, recipe.seed
        )
        network = make_network(recipe).eval()
        losses, ious, shown = [], [], []
        for number in range(chosen.clips):
            clips = batches(number)
            with torch.inference_mode():
                found = unroll(
                    recipe.network, network, UnrollInputs(clips, recipe.unroll, number, True)
                )
                losses.append(float(total_loss(found, MATCHING, 0.0)[0]))
            assert found.matched is not None
            true = area_downsample(found.masks.flatten(0, 1), 16).unflatten(0, (1, -1))
            ious += _ious(found.matched, true, found.valid & (true > 0.5).flatten(3).any(-1))
            away = found.valid & ~(true > 0).flatten(3).any(-1)
            shown += (found.matched > 0.5).flatten(3).any(-1)[away].float().tolist()
        away_share = f"{100 * fmean(shown):.0f} % of {len(shown)}" if shown else "none away"
        print(f"{weights:40}  {fmean(losses):6.3f}  {100 * fmean(ious):6.1f}  {away_share}")


def _ious(matched: Tensor, true: Tensor, there: Tensor) -> list[float]:
    """Of the objects that are there: ``there`` ``(B, F, N)``, masks ``(B, F, N, h, w)``."""
    ious: list[float] = hard_iou(matched, true)[there].tolist()
    return ious


if __name__ == "__main__":
    main()
