"""Ship a small network: its weights in half precision, and a card with its scores.

    python -m finetune.ship --config configs/finetune/demo_xmem.yaml \\
        --weights runs/finetune/demo_xmem/absences/last.safetensors --name demo-xmem --clips DIR

writes ``adapters/pretrained/demo-xmem.safetensors``, which configurations then call
``demo-xmem``, and its card. J&F is measured on what was written, through the adapter: on
synthetic videos that no training draws, and on a data set with full labels, if one is given; with
``--set device=cpu`` where a recipe is for a GPU.

A recipe of stages ships into its own output folder when its last stage is trained. This command
is for what that cannot do: weights of a single training, scores on real clips (``--clips``), and
the folder of the weights that the project brings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from adapters.weights.store import PRETRAINED
from finetune.card import Card, ShippedWeights, measure_scores
from finetune.recipe import ValidationOptions
from finetune.stages import Stage, load_recipe
from mose import InputError
from stseg.cli import EXIT_OK, CommandParser, print_line, run_command
from stseg.config import SET_HELP
from stseg.files import write_bytes, write_text

MOST_BYTES = 4_000_000


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
    recipe = load_recipe(chosen.config, chosen.set)
    clips = None
    if chosen.clips:
        clips = ValidationOptions(dataset=chosen.clips, split=chosen.split, labels="Annotations")
    target = Path(chosen.output) / f"{chosen.name}.safetensors"
    average = Path(chosen.average) if chosen.average else None
    shipped = write_half(recipe.network, Path(chosen.weights), target, average)
    card = Card(
        chosen.name,
        recipe,
        chosen.config,
        shipped,
        measure_scores(recipe, target, clips),
        chosen.note,
    )
    _write_card(card, target)
    return EXIT_OK


def ship_stage(stage: Stage, weights: Path, output: Path) -> None:
    """Write the weights that a stage left and their card to ``output``.

    Where the very weights and a card are there, nothing is measured again.
    """
    assert stage.ending.ship is not None
    target = output / f"{stage.ending.ship}.safetensors"
    before = target.read_bytes() if target.is_file() else None
    shipped = write_half(stage.recipe.network, weights, target)
    if target.with_suffix(".md").is_file() and before == target.read_bytes():
        print_line(f"{target} and its card are there")
        return
    target.with_suffix(".md").unlink(missing_ok=True)
    config = f"configs/finetune/{stage.name.recipe}.yaml"
    scores = measure_scores(stage.recipe, target)
    _write_card(Card(stage.ending.ship, stage.recipe, config, shipped, scores), target)


def _write_card(card: Card, target: Path) -> None:
    write_text(target.with_suffix(".md"), card.text())
    told = ", ".join(f"{name} {score:.1f}" for name, score in card.scores.items())
    print_line(f"wrote {target} and its card: {told}")


def write_half(
    family: str, source: Path, target: Path, average: Path | None = None
) -> ShippedWeights:
    """Write a checkpoint in float16, names and metadata as they are.

    average   another checkpoint of the same network: the mean of the two is written
    Raises `InputError` for a checkpoint of another family, for one that is too large to ship, and
    for two of different networks.
    """
    from safetensors.torch import save

    from adapters.weights.checkpoints import load_state
    from adapters.weights.families import describe, family_of
    from finetune.averaging import average_checkpoints

    state = load_state(source)
    if family_of(state) != family:
        raise InputError(f"checkpoint {source} {describe(state)}: the recipe trains {family}")
    if average is not None:
        state = average_checkpoints({source: 0.5, average: 0.5})
    half = {n: t.half() if t.is_floating_point() else t for n, t in state.items()}
    content = save({n: t.contiguous() for n, t in half.items()}, stored_metadata(source))
    if len(content) > MOST_BYTES:
        raise InputError(
            f"{source} takes {len(content) / 1e6:.1f} MB in half precision, at most"
            f" {MOST_BYTES / 1e6:.0f} are shipped: make the recipe's sizes smaller"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(target, content, sync=True)
    return ShippedWeights(sum(t.numel() for t in state.values()), len(content))


def stored_metadata(source: Path) -> dict[str, str] | None:
    """The notes in the head of a safetensors file; None for other files."""
    from safetensors import safe_open

    if source.suffix != ".safetensors":
        return None
    with safe_open(str(source), "pt") as file:
        return file.metadata()


if __name__ == "__main__":
    sys.exit(run_command(main))
