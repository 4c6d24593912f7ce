"""``python -m ensemble.rounds``: members learn from the masks of a finished run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stseg.cli import EXIT_INTERRUPTED, EXIT_OK, CommandParser, print_line
from stseg.config import SET_HELP
from stseg.errors import InputError

if TYPE_CHECKING:
    from study.rounds.stages import Order

LAYOUT = """\
what is written:
  OUTPUT/r1/training/     the chosen masks of the videos that are trained on; 255 is ignored
  OUTPUT/r1/guard/        the held-out videos, on which trainings are validated
  OUTPUT/r1/weights/      a folder of checkpoints for each member
  OUTPUT/r1/masks/        with --per-video, a folder of masks instead
  OUTPUT/r1/run/          a run folder: the old members and the new ones, as xmem@r1
  OUTPUT/r1/verdict.json  what the held-out videos say of the round
  OUTPUT/r2/ ...          the next round, where the one before was adopted

The same command goes on where it was stopped. Members that have seen the frames of the videos on
which they are scored are transductive, which some challenges forbid; record and report say so."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "ensemble.rounds",
        "Let members of a finished run learn from its masks, and run them again beside it.",
        epilog=LAYOUT,
    )
    p.add_argument("--run", required=True, help="a finished run, made with --keep-soft")
    p.add_argument("--members", nargs="+", required=True, metavar="NAME", help="those that learn")
    p.add_argument("--labelled", metavar="DIR", help="a data set with full labels, mixed in")
    p.add_argument(
        "--per-video", action="store_true", help="learn one video at a time, for that video alone"
    )
    p.add_argument("--rounds", type=int, default=1, metavar="N", help="at most (default: 1)")
    p.add_argument("--config", default="rounds", help="YAML file (default: configs/rounds.yaml)")
    p.add_argument("--set", action="append", default=[], metavar="A.B=C", help=SET_HELP)
    p.add_argument("--output", help="folder to write (default: RUN-rounds)")
    p.add_argument("--device", help="cpu, cuda or mps (default: the run's)")
    p.add_argument("--executor", choices=("ray", "inline"), help="(default: the run's)")
    p.add_argument("--dry-run", action="store_true", help="print what it would cost and stop")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, run the rounds, say what came of them; returns the exit code."""
    arguments = parser().parse_args(argv)
    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}, expected at least 1")
    order = order_of(arguments)
    from finetune.command import train_shown
    from study.rounds.forecast import forecast
    from study.rounds.stages import RoundPaths, run_rounds

    if arguments.dry_run:
        for line in forecast(order):
            print_line(line)
        return EXIT_OK
    best = order.source
    try:
        for number, verdict in run_rounds(order, arguments.rounds, train_shown):
            for name in verdict.left_out:
                print_line(f"round {number}: too little of video {name} is sure to learn from it")
            print_line(f"round {number} {verdict.sentence()}")
            best = RoundPaths(order.output, number).run if verdict.adopted else best
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    print_line(f"the masks to use: {best / 'masks'}")
    return EXIT_OK


def order_of(arguments: argparse.Namespace) -> Order:
    """What the command line asks for."""
    from ensemble.config import load_config
    from ensemble.storage.run_directory import existing_run
    from study.rounds.options import load_rounds
    from study.rounds.stages import Order

    source = Path(arguments.run)
    execution = load_config(existing_run(source).config).execution
    asked = {"device": arguments.device, "executor": arguments.executor}
    return Order(
        source,
        Path(arguments.output or source.with_name(f"{source.name}-rounds")),
        tuple(arguments.members),
        load_rounds(arguments.config, arguments.set),
        replace(execution, **{key: value for key, value in asked.items() if value}),
        Path(arguments.labelled) if arguments.labelled else None,
        arguments.per_video,
    )
