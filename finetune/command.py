"""``python -m finetune``: train a network as a recipe says."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.recipe import Recipe, load_recipe
from stseg.cli import EXIT_INTERRUPTED, EXIT_OK, CommandParser, say
from stseg.config import SET_HELP
from stseg.progress import Progress

if TYPE_CHECKING:
    import numpy as np

HELP = """\
A data set of a recipe has one of these layouts, with a label for every frame:

  data.dataset/train/JPEGImages/<video>/00000.jpg     data.dataset/JPEGImages/<video>/00000.jpg
  data.dataset/train/Annotations/<video>/00000.png    data.dataset/Annotations/<video>/00000.png

The output folder gets state.pth (to resume from), log.csv, validation.csv, and the weights
last.* and best.*, as .safetensors and .pth, under the names of the published checkpoints.
Several workers, one GPU each: --set device=cuda --set launch.workers=4.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = CommandParser(
        "finetune", "Fine-tune a network, or train a small one from nothing.", epilog=HELP
    )
    parser.add_argument("--config", required=True, help="a recipe, see configs/finetune")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help=SET_HELP)
    parser.add_argument("--output", help="folder of checkpoints (runs/finetune/<recipe>)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--dry-run", action="store_true", help="measure two steps; say what it would need"
    )
    parser.add_argument(
        "--contact-sheet",
        metavar="PNG",
        help="write a picture of training clips as augmented, and nothing else",
    )
    chosen = parser.parse_args(arguments)
    recipe = load_recipe(chosen.config, chosen.set)
    name = Path(chosen.config).stem
    output = Path(chosen.output or recipe.output or Path("runs") / "finetune" / name)
    if chosen.contact_sheet:
        from finetune.data.contact_sheet import write_contact_sheet

        write_contact_sheet(recipe, Path(chosen.contact_sheet))
        say(f"wrote {chosen.contact_sheet}")
        return EXIT_OK
    if chosen.dry_run:
        from finetune.estimate import estimate

        report_precision(recipe)
        say(estimate(recipe))
        return EXIT_OK
    return train(recipe, output, chosen.resume)


def train(recipe: Recipe, output: Path, resume: bool) -> int:
    """Train, with progress on standard error; returns the exit code."""
    from finetune.failures import STATE
    from finetune.launch import TrainingJob, train_here, train_on_ray
    from finetune.log import best_score
    from mose import InputError

    if not resume and (output / STATE).exists():
        raise InputError(f"{output} holds a training: add --resume, or give another --output")
    report_precision(recipe)
    shown = TrainingProgress(recipe.steps)
    task = TrainingJob(recipe, output, resume, video_score)
    try:
        if recipe.launch.on_ray:
            train_on_ray(task, cluster, shown)
        else:
            train_here(task, shown)
    except KeyboardInterrupt:
        kept = f"{output / STATE} is the last checkpoint: go on with --resume"
        sys.stderr.write(f"\ninterrupted at step {shown.step}; {kept}\n")
        return EXIT_INTERRUPTED
    shown.close()
    best = best_score(output)
    if best is not None:
        say(f"best J&F on the hold-out {best:.1f}: {output / 'best.safetensors'}")
    say(f"weights of the last step: {output / 'last.safetensors'}")
    return EXIT_OK


def report_precision(recipe: Recipe) -> None:
    """A line where ``amp`` is asked for in vain."""
    from finetune.trainer import mixed_precision

    if recipe.amp and not mixed_precision(recipe):
        say("amp is off: this processor has no instructions for bfloat16")


CLOCK_FROM_SECONDS = 600.0
"""Seconds from which on the end of a training is told as an hour."""


class TrainingProgress:
    """The progress of a training, with the hour of its end where that is far.

    The first report tells from where it went on.
    """

    def __init__(self, steps: int):
        self.steps = steps
        self.step = 0
        self._progress: Progress | None = None
        self._first, self._start = 0, 0.0

    def __call__(self, step: int, note: str) -> None:
        if self._progress is None:
            # Steps are counted from the first one on: what came before took no time of ours.
            self._progress = Progress(self.steps - step + 1, "training")
            self.step, self._first, self._start = step - 1, step, time.time()
        note = f"step {step}, {note}{self._end(step, time.time())}"
        self._progress.advance(step - self.step, note)
        self.step = step

    def _end(self, step: int, now: float) -> str:
        if step == self._first:
            return ""
        left = (now - self._start) / (step - self._first) * (self.steps - step)
        end = time.strftime("%a %H:%M", time.localtime(now + left))
        return f", ends {end}" if left > CLOCK_FROM_SECONDS else ""

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()


@contextmanager
def cluster(recipe: Recipe) -> Iterator[None]:
    """The Ray of a recipe: joined where it names one, else this process's own."""
    from stseg.ray_instance import embedded_ray, joined_ray, usable_cores

    launch = recipe.launch
    if launch.address is not None:
        with joined_ray(launch.address):
            yield
    else:
        with embedded_ray(max(usable_cores(), launch.workers * launch.cpus)):
            yield


def video_score(found: list[np.ndarray], true: list[np.ndarray]) -> float:
    """Mean J&F of the objects of a video, in [0, 1], as DAVIS counts."""
    from statistics import fmean

    from selection.metrics import VideoScorer

    scorer = VideoScorer("davis")
    for prediction, truth in zip(found, true, strict=True):
        scorer.add(prediction, truth)
    objects = [scores["J&F"] or 0.0 for scores in scorer.scores().values() if scores is not None]
    return fmean(objects) if objects else 1.0
