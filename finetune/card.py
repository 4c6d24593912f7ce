"""The card of a small network that ships: what it is, how it was made, what it is worth."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from finetune.recipe import TrainingRecipe, ValidationOptions

SYNTHETIC = ValidationOptions(count=12, frames=24, size=240, objects=2)
OTHERS = replace(SYNTHETIC, first=SYNTHETIC.count, count=24)
"""Videos that must not play a part in choosing options; those of `SYNTHETIC` did."""

CARD = """\
# {name}

A small {network} trained from nothing on `mose.synthetic` alone, so that the project runs
with nothing to download. It saw no real video.

| | |
|---|---|
| recipe | `{config}`{start} |
| seed | {seed} |
| steps | {steps} of {batch} clips of {frames} frames at {size} x {size} |
| commit | {commit} |
| made | {today} |
| parameters | {parameters:.2f} M, float16, {megabytes:.2f} MB |
{note}| options | `{options}` |
| licence | Apache-2.0 |

J&F in percent, DAVIS protocol, through the adapter with the options above:

| | |
|---|---|
{scores}

The knobs of the generator (contrast, sizes, motion) were set by statistics of real clips, and the
options above were chosen with scores on davis2016-train and the 12 synthetic videos in view.

```
python -m finetune --config {config} --output runs/finetune/{stem}
```
"""


@dataclass(frozen=True)
class ShippedWeights:
    """How large a file of weights is."""

    parameters: int
    bytes: int


@dataclass(frozen=True)
class Card:
    """What a card tells.

    recipe   of the last training
    config   the file of the recipe
    scores   J&F in percent by the name of what it was measured on
    note     in what the training differed from the recipe
    """

    name: str
    recipe: TrainingRecipe
    config: str
    shipped: ShippedWeights
    scores: Mapping[str, float]
    note: str | None = None

    def text(self) -> str:
        """The card, in Markdown."""
        recipe, data = self.recipe, self.recipe.data
        return CARD.format(
            name=self.name,
            network=recipe.network,
            config=self.config,
            stem=Path(self.config).stem,
            start=describe_start(recipe),
            seed=recipe.seed,
            steps=recipe.steps,
            batch=recipe.batch * recipe.accumulate,
            frames=data.frames,
            size=data.size,
            commit=commit(),
            today=date.today().isoformat(),
            parameters=self.shipped.parameters / 1e6,
            megabytes=self.shipped.bytes / 1e6,
            note=f"| note | {self.note} |\n" if self.note else "",
            options=dict(recipe.validation.options),
            scores="\n".join(f"| {where} | {score:.1f} |" for where, score in self.scores.items()),
        )


def describe_start(recipe: TrainingRecipe) -> str:
    """What a training starts from, as the end of a sentence that names the recipe."""
    start = f", the shared parts from `{recipe.warm_start}`" if recipe.warm_start else ""
    if recipe.weights:
        start = f", which goes on from `{recipe.weights}`"
    if recipe.encoders:
        start += f" with the encoders of `{recipe.encoders}`"
    if recipe.keys:
        start += f", keys as clusters of those of `{recipe.keys}`"
    return start


def measure_scores(
    recipe: TrainingRecipe, weights: Path, clips: ValidationOptions | None = None
) -> dict[str, float]:
    """J&F in percent by the name of what it was measured on.

    clips   a data set with full labels beside the synthetic videos
    """
    from finetune.holdout import evaluator, video_score

    sets = {
        f"{SYNTHETIC.count} synthetic videos": SYNTHETIC,
        f"{OTHERS.count} other synthetic videos": OTHERS,
    }
    if clips is not None:
        sets[Path(clips.dataset).name] = clips
    scores = {}
    for name, hold_out in sets.items():
        hold_out = replace(hold_out, options=recipe.validation.options)
        scores[name] = evaluator(replace(recipe, validation=hold_out), video_score)(weights)
    return scores


def commit() -> str:
    """The commit of the checkout that runs; "unknown" outside of one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = Path(__file__).parent
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
