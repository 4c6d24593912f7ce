"""The main command: run the members, fuse, select, write.

python -m ensemble.run --split test
python -m ensemble.run --config mose --dataset MOSE --split valid --device cuda
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mose.boards import boards
from selection.run_paths import LAYOUT as RUN_LAYOUT
from stseg.cli import CommandParser, run_command
from stseg.config import SET_HELP
from stseg.errors import InputError, unknown

if TYPE_CHECKING:
    from ensemble.config import RunConfig
    from mose.single import Box

LAYOUT = f"""\
the data set folder:
  JPEGImages/<video>/00000.jpg      frames
  Annotations/<video>/00000.png     the given masks, palette PNGs of object ids
or such folders inside train/, valid/ or test/. Or one video: --video clip.mp4 --mask first.png.

the run folder:
{RUN_LAYOUT}

exit code: 0 every video written, 1 some failed (see failures.json), 2 bad input."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "ensemble.run",
        "Run an ensemble over a data set and select the best masks per video.",
        epilog=LAYOUT,
    )
    p.add_argument("--split", help="train, valid or test")
    p.add_argument("--dataset", help="root of the data set (default: the built-in synthetic one)")
    p.add_argument(
        "--video", metavar="FILE", help="one movie or folder of frames in place of a data set"
    )
    p.add_argument("--mask", metavar="PNG", help="of --video: the mask of its first frame")
    p.add_argument(
        "--box",
        action="append",
        default=[],
        metavar="x0,y0,x1,y1",
        help="of --video, in place of --mask: a box on its first frame, in pixels, for members"
        " that can start from one (SAM 2); repeatable, ids by order",
    )
    p.add_argument("--board", choices=tuple(boards()), help="(default: as the data set shows)")
    p.add_argument("--annotations", nargs="+", help="folders of given masks (Annotations)")
    p.add_argument(
        "--corrections", metavar="DIR", help="masks that correct objects on later frames"
    )
    p.add_argument("--config", default="default.yaml", help="YAML file (default: %(default)s)")
    p.add_argument("--members", nargs="+", metavar="NAME", help="only these members")
    p.add_argument("--videos", nargs="+", metavar="NAME", help="only these videos (patterns)")
    p.add_argument("--output", help="run folder (default: runs/<data set>-<split>)")
    p.add_argument("--address", help="of a Ray cluster (default: RAY_ADDRESS, else embedded)")
    p.add_argument("--device", help="cpu, cuda or mps")
    p.add_argument("--executor", choices=("ray", "inline"), help="(default: ray)")
    p.add_argument(
        "--labels",
        nargs="?",
        const="Annotations",
        help="score against full labels in this folder (Annotations)",
    )
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                   help=SET_HELP)  # fmt: skip
    p.add_argument("--keep-soft", action="store_true", help="keep the members' predictions")
    p.add_argument("--overwrite", action="store_true", help="start over in an existing run folder")
    p.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = parser().parse_args(argv)
    config = configure(arguments)
    from ensemble.pipeline import run  # it imports models' code, which --help need not

    return run(config, overwrite=arguments.overwrite, dry_run=arguments.dry_run)


def _check_single(arguments: argparse.Namespace) -> None:
    """`InputError` where the options of one video and of a data set do not go together."""
    objects = arguments.mask or arguments.box
    if not arguments.video and objects:
        raise InputError("--mask and --box are of one video: name it with --video")
    if not arguments.video:
        return
    if not objects:
        raise InputError(
            f"video {arguments.video} has no objects to follow: give the mask of its first frame"
            " with --mask, or boxes with --box"
        )
    for name in ("dataset", "split", "annotations", "videos"):
        if getattr(arguments, name):
            raise InputError(f"--{name} is of a data set: leave it out beside --video")


def box_of(text: str) -> Box:
    """``x0,y0,x1,y1`` as numbers."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--box {text} is no box: write x0,y0,x1,y1 in pixels, such as 20,30,120,90"
        ) from None
    return x0, y0, x1, y1


def configure(arguments: argparse.Namespace) -> RunConfig:
    """The configuration file with the command line's options on top."""
    from ensemble.config import BUILT_IN_DATASET, load_config

    config = load_config(arguments.config, arguments.overrides)
    data, execution, output = config.data, config.execution, config.output
    _check_single(arguments)
    if arguments.dataset and arguments.dataset != BUILT_IN_DATASET:
        if data.dataset == BUILT_IN_DATASET:
            data = dataclasses.replace(data, labels=None)
        data = dataclasses.replace(data, dataset=arguments.dataset)
    if arguments.video:
        boxes = tuple(map(box_of, arguments.box))
        data = dataclasses.replace(
            data, dataset=arguments.video, mask=arguments.mask, boxes=boxes, labels=None
        )
    changes = {
        "split": arguments.split,
        "board": arguments.board,
        "annotations": tuple(arguments.annotations or ()),
        "videos": tuple(arguments.videos or ()),
        "labels": arguments.labels,
        "corrections": arguments.corrections,
    }
    data = dataclasses.replace(data, **{k: v for k, v in changes.items() if v})
    changes = {k: getattr(arguments, k) for k in ("address", "device", "executor")}
    execution = dataclasses.replace(execution, **{k: v for k, v in changes.items() if v})
    output = dataclasses.replace(
        output,
        path=arguments.output or output.path,
        keep_soft=arguments.keep_soft or output.keep_soft,
    )
    members = config.members
    if arguments.members:
        by_name = {member.name: member for member in members}
        for name in arguments.members:
            if name not in by_name:
                raise unknown("member", name, by_name, f" in {arguments.config}")
        members = tuple(by_name[name] for name in arguments.members)
    if not members:
        raise InputError(f"configuration {arguments.config} has no members: list some")
    return dataclasses.replace(
        config, data=data, execution=execution, output=output, members=members
    )


if __name__ == "__main__":
    run_command(main)
