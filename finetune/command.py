"""``python -m finetune``: train a network as a recipe says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.recipe import TrainingRecipe
from finetune.stages import Stage, folders_of, load_recipe, load_stages, plan_stages
from stseg.cli import EXIT_INTERRUPTED, EXIT_OK, CommandParser, print_line
from stseg.config import SET_HELP

if TYPE_CHECKING:
    from finetune.launch import TrainingJob

HELP = """\
A data set of a recipe has one of these layouts, with a label for every frame:

  data.dataset/train/JPEGImages/<video>/00000.jpg     data.dataset/JPEGImages/<video>/00000.jpg
  data.dataset/train/Annotations/<video>/00000.png    data.dataset/Annotations/<video>/00000.png

The output folder gets state.pth (to resume from), log.csv, validation.csv, and the weights
last.* and best.*, as .safetensors and .pth, under the names of the published checkpoints.
Several workers, one GPU each: --set device=cuda --set launch.workers=4.

A recipe with stages (configs/finetune/demo_*.yaml) trains them in order, each into a folder of
the output folder. Stages of other recipes that it starts from lie beside the output folder and
are trained first where they are not there. --set stages.NAME.key=... changes one stage, other
keys all of them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        "finetune", "Fine-tune a network, or train a small one from nothing.", epilog=HELP
    )
    parser.add_argument("--config", required=True, help="a recipe, see configs/finetune")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help=SET_HELP)
    parser.add_argument("--output", help="folder of checkpoints (runs/finetune/<recipe>)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--stage", metavar="NAME", help="of a recipe with stages: train this one")
    parser.add_argument("--until", metavar="NAME", help="of a recipe with stages: end after it")
    parser.add_argument(
        "--dry-run", action="store_true", help="measure a few steps; say what it would need"
    )
    parser.add_argument(
        "--contact-sheet",
        metavar="PNG",
        help="write a picture of training clips as augmented, and nothing else",
    )
    chosen = parser.parse_args(arguments)
    if chosen.stage and chosen.until:
        parser.error("give --stage or --until, not both")
    stages: tuple[Stage, ...] = ()
    if load_stages(chosen.config, chosen.set):
        stages = plan_stages(chosen.config, chosen.set, chosen.stage or chosen.until)
        stages = stages[-1:] if chosen.stage else stages
        recipe = stages[-1].recipe
    elif chosen.stage or chosen.until:
        parser.error(f"{chosen.config} has no stages: leave --stage and --until out")
    else:
        recipe = load_recipe(chosen.config, chosen.set)
    name = Path(chosen.config).stem
    output = Path(chosen.output or recipe.output or Path("runs") / "finetune" / name)
    if chosen.contact_sheet:
        return draw_clips(recipe, Path(chosen.contact_sheet))
    if chosen.dry_run:
        return tell_needs(recipe, stages)
    if stages:
        return train_recipe(stages, name, output, chosen.resume)
    return train(recipe, output, chosen.resume)


def draw_clips(recipe: TrainingRecipe, path: Path) -> int:
    """Draw the contact sheet of a recipe."""
    from finetune.data.contact_sheet import write_contact_sheet

    write_contact_sheet(recipe, path)
    print_line(f"wrote {path}")
    return EXIT_OK


def tell_needs(recipe: TrainingRecipe, stages: Sequence[Stage]) -> int:
    """Measure and print what a training, or every stage of one, would need."""
    from finetune.estimate import estimate, estimate_stages

    report_precision(recipe)
    for line in estimate_stages(stages) if stages else [estimate(recipe)]:
        print_line(line)
    return EXIT_OK


def train(recipe: TrainingRecipe, output: Path, resume: bool) -> int:
    """Train once, with progress on standard error; returns the exit code."""
    from finetune.failures import STATE
    from finetune.holdout import video_score
    from finetune.launch import TrainingJob
    from finetune.log import best_score
    from mose import InputError

    if not resume and (output / STATE).exists():
        raise InputError(f"{output} holds a training: add --resume, or give another --output")
    report_precision(recipe)
    try:
        train_shown(TrainingJob(recipe, output, resume, video_score))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    best = best_score(output)
    if best is not None:
        print_line(f"best J&F on the hold-out {best:.1f}: {output / 'best.safetensors'}")
    print_line(f"weights of the last step: {output / 'last.safetensors'}")
    return EXIT_OK


def train_recipe(stages: Sequence[Stage], name: str, output: Path, resume: bool) -> int:
    """Train stages of the recipe ``name`` that are not trained yet; returns the exit code."""
    from finetune.failures import STATE
    from finetune.holdout import video_score
    from finetune.stage_runs import train_stages
    from mose import InputError

    folders = folders_of(stages, name, output)
    ours = [folders.folder(stage.name) for stage in stages if stage.name.recipe == name]
    if not resume and any((folder / STATE).exists() for folder in ours):
        raise InputError(f"{output} holds a training: add --resume, or give another --output")
    report_precision(stages[-1].recipe)
    try:
        train_stages(stages, folders, video_score, train_shown)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    print_line(f"weights of the last stage: {folders.left(stages[-1].name)}")
    return EXIT_OK


def train_shown(job: TrainingJob) -> None:
    """Train with progress on standard error, where a recipe says; Ctrl-C passes through."""
    from finetune.failures import STATE
    from finetune.launch import train_here, train_on_ray
    from finetune.progress import TrainingProgress

    shown = TrainingProgress(job.recipe.steps)
    try:
        if job.recipe.launch.on_ray:
            train_on_ray(job, cluster, shown)
        else:
            train_here(job, shown)
    except KeyboardInterrupt:
        kept = f"{job.output / STATE} is the last checkpoint: go on with --resume"
        sys.stderr.write(f"\ninterrupted at step {shown.step}; {kept}\n")
        raise
    shown.close()


def report_precision(recipe: TrainingRecipe) -> None:
    """Print a line if ``amp`` is asked for but not supported."""
    from finetune.trainer import mixed_precision

    if recipe.amp and not mixed_precision(recipe):
        print_line("amp is off: this processor has no instructions for bfloat16")


@contextmanager
def cluster(recipe: TrainingRecipe) -> Iterator[None]:
    """The Ray of a recipe: joined where it names one, else this process's own."""
    from stseg.ray_instance import embedded_ray, joined_ray, usable_cores

    launch = recipe.launch
    if launch.address is not None:
        with joined_ray(launch.address):
            yield
    else:
        with embedded_ray(max(usable_cores(), launch.workers * launch.cpus)):
            yield
