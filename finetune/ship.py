"""Ship a small network: weights in half precision, and a card that says what they are worth.

    python -m finetune.ship --config configs/finetune/demo_xmem.yaml \\
        --weights runs/finetune/demo_xmem/last.safetensors --name demo-xmem --clips DIR

writes ``adapters/pretrained/demo-xmem.safetensors``, which configurations then call
``demo-xmem``, and its card. J&F is measured on what was written, through the adapter: on
synthetic videos that no training draws, and on a data set with full labels, if one is given; with
``--set device=cpu`` where a recipe is for a GPU.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.weights.store import PRETRAINED
from finetune.recipe import Recipe, ValidationOptions, load_recipe
from mose import InputError
from stseg.cli import EXIT_OK, CommandParser, run_command, say
from stseg.config import SET_HELP
from stseg.files import write_bytes, write_text

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 4_000_000
SYNTHETIC = ValidationOptions(count=12, frames=24, size=240, objects=2)
OTHERS = replace(SYNTHETIC, first=SYNTHETIC.count, count=24)
"""Videos that are to play no part in choosing options; those of `SYNTHETIC` did."""

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
python -m finetune.ship --config {config} \\
    --weights runs/finetune/{stem}/last.safetensors --name {name} --clips DIR{average}
```
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        "finetune.ship",
        "Write a small network's weights in half precision, with a card.",
    )
    parser.add_argument("--config", required=True, help="the recipe that it was trained by")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help=SET_HELP)
    parser.add_argument("--weights", required=True, help="last.safetensors or best.safetensors")
    parser.add_argument(
        "--average",
        metavar="WEIGHTS",
        help="ship the mean with these, what it went on from (WiSE-FT, Wortsman et al. 2022)",
    )
    parser.add_argument("--name", required=True, help="by which configurations call it")
    parser.add_argument("--clips", help="data set with full labels to measure J&F on")
    parser.add_argument("--split", default="train", help="of the clips (train)")
    parser.add_argument("--note", help="a line for the card: in what the training was another")
    parser.add_argument("--output", default=str(PRETRAINED), help="folder (adapters/pretrained)")
    chosen = parser.parse_args(arguments)

    recipe, output = load_recipe(chosen.config, chosen.set), Path(chosen.output)
    target = output / f"{chosen.name}.safetensors"
    average = Path(chosen.average) if chosen.average else None
    count, size = write_half(recipe.network, Path(chosen.weights), target, average)
    scores = measure(recipe, target, chosen.clips, chosen.split)
    card = write_card(
        recipe, chosen.config, chosen.name, count, size, scores, chosen.note, chosen.average
    )
    write_text(target.with_suffix(".md"), card)
    say(f"wrote {target} and its card: " + ", ".join(f"{k} {v:.1f}" for k, v in scores.items()))
    return EXIT_OK


def write_half(
    family: str, source: Path, target: Path, average: Path | None = None
) -> tuple[int, int]:
    """Write a checkpoint in float16, names and metadata as they are; (parameters, bytes).

    average   another checkpoint of the same network: the mean of the two is written
    Raises `InputError` for a checkpoint that is none of the family, or too large to ship, and
    for two that are not of one network.
    """
    from safetensors.torch import save

    from adapters.weights.checkpoints import describe, family_of, load_state

    state = load_state(source)
    if family_of(state) != family:
        raise InputError(f"checkpoint {source} {describe(state)}: the recipe trains {family}")
    if average is not None:
        state = mean_weights(state, load_state(average), f"{source} and {average}")
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    content = save({n: t.contiguous() for n, t in half.items()}, metadata_of(source))
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{source} takes {len(content) / 1e6:.1f} MB in half precision, at most"
            f" {MOST_BYTES / 1e6:.0f} are shipped: make the recipe's sizes smaller"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, content, sync=True)
    return sum(t.numel() for t in state.values()), len(content)


def mean_weights(one: dict[str, Tensor], other: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    """The mean of two states of one network; counts, which are whole numbers, are the first's."""
    if {n: t.shape for n, t in one.items()} != {n: t.shape for n, t in other.items()}:
        raise InputError(f"{what} are not of one network: average what has the same sizes")
    return {
        n: (t.float() + other[n].float()) / 2 if t.is_floating_point() else t
        for n, t in one.items()
    }


def metadata_of(source: Path) -> dict[str, str] | None:
    """The notes in the head of a safetensors file; None for other files."""
    from safetensors import safe_open

    if source.suffix != ".safetensors":
        return None
    with safe_open(str(source), "pt") as file:
        return file.metadata()


def measure(recipe: Recipe, weights: Path, clips: str | None, split: str) -> dict[str, float]:
    """J&F in percent by the name of what it was measured on."""
    from finetune.command import video_score
    from finetune.holdout import evaluator

    options = recipe.validation.options
    sets = {
        f"{SYNTHETIC.count} synthetic videos": replace(SYNTHETIC, options=options),
        f"{OTHERS.count} other synthetic videos": replace(OTHERS, options=options),
    }
    if clips is not None:
        sets[Path(clips).name] = ValidationOptions(
            dataset=clips, split=split, labels="Annotations", options=options
        )
    return {
        name: evaluator(replace(recipe, validation=validation), video_score)(weights)
        for name, validation in sets.items()
    }


def write_card(
    recipe: Recipe,
    config: str,
    name: str,
    count: int,
    size: int,
    scores: dict[str, float],
    note: str | None = None,
    average: str | None = None,
) -> str:
    """The card, in Markdown."""
    data = recipe.data
    start = f", the shared parts from `{recipe.warm_start}`" if recipe.warm_start else ""
    if recipe.weights:
        start = f", which goes on from `{recipe.weights}`"
    if recipe.encoders:
        start += f" with the encoders of `{recipe.encoders}`"
    if recipe.keys:
        start += f", keys as clusters of those of `{recipe.keys}`"
    return CARD.format(
        name=name,
        network=recipe.network,
        config=config,
        stem=Path(config).stem,
        start=start,
        seed=recipe.seed,
        steps=recipe.steps,
        batch=recipe.batch * recipe.accumulate,
        frames=data.frames,
        size=data.size,
        commit=commit(),
        today=date.today().isoformat(),
        parameters=count / 1e6,
        megabytes=size / 1e6,
        note=f"| note | {note} |\n" if note else "",
        average=f" \\\n    --average {average}" if average else "",
        options=dict(recipe.validation.options),
        scores="\n".join(f"| {where} | {score:.1f} |" for where, score in scores.items()),
    )


def commit() -> str:
    """The commit of the checkout that runs; "unknown" outside of one."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = Path(__file__).parent
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(run_command(main))
