"""``python -m mose.synthetic OUT --videos N``: make a synthetic data set, or describe one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mose.synthetic.config import PRESETS, SyntheticConfig
from stseg.cli import EXIT_OK, CommandParser, print_line, run_command
from stseg.errors import InputError
from stseg.progress import progress

_LAYOUT = """
layout of OUT:
  OUT/test/JPEGImages/v00000/00000.jpg     frames
  OUT/test/Annotations/v00000/00000.png    masks that are given: every frame in train,
                                           else every object where it first appears
  OUT/test/Labels/v00000/00000.png         masks of every frame (not in train)
  OUT/test/synthetic.json                  what it was made with

The same options give the same bytes. Running the same command again keeps the videos that
are whole; a larger --videos adds to them.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = _parser().parse_args(arguments)
    options = {
        "config": args.preset,
        "split": args.split,
        "seed": args.seed,
        "frames": args.frames,
        "objects": args.objects,
        "height": args.size[0],
        "width": args.size[1],
        **_settings(args.set),
    }
    if args.stats is not None:
        _print_stats(args.stats, options)
        return EXIT_OK
    from mose.synthetic.dataset import write_dataset

    if args.out is None or args.videos is None:
        raise InputError("give OUT and --videos N, or --stats N")
    root = write_dataset(
        args.out,
        args.videos,
        processes=args.processes,
        progress=True,
        labels=not args.no_labels,
        **options,
    )
    print_line(str(root))
    return EXIT_OK


def _print_stats(count: int, options: Mapping[str, Any]) -> None:
    """What happens in clips that are not written."""
    import cv2

    from mose.synthetic.clip import draw_frames
    from mose.synthetic.plan import SyntheticPlan
    from mose.synthetic.stats import clip_stats, table

    if count < 1:
        raise InputError(f"--stats is {count}, expected how many clips to make")
    cv2.setNumThreads(1)
    plan = SyntheticPlan.of(**options)
    clips = [clip_stats(draw_frames(plan.clip(k))) for k in progress(range(count), count, "clips")]
    print_line(table(clips))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "mose.synthetic",
        "Make a procedural data set in MOSE layout, with labels on every frame.",
        epilog=_LAYOUT,
    )
    parser.add_argument("out", nargs="?", metavar="OUT", help="folder to make")
    parser.add_argument("--videos", type=int, metavar="N", help="how many videos")
    parser.add_argument("--split", default="test", help="train, valid or test (default test)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (0)")
    parser.add_argument(
        "--frames", type=_span, default=(24, 48), metavar="N|A-B", help="per video (24-48)"
    )
    parser.add_argument(
        "--objects", type=_span, default=(1, 4), metavar="N|A-B", help="per video (1-4)"
    )
    parser.add_argument(
        "--size", type=_size, default=(192, 192), metavar="HxW", help="of a frame (192x192)"
    )
    parser.add_argument(
        "--preset", default="default", help=f"difficulty: {', '.join(PRESETS)} (default)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KNOB=VALUE",
        help="one knob of the difficulty, e.g. --set leave=0.5 --set object_size=0.1,0.4;"
        f" knobs: {', '.join(knob.name for knob in fields(SyntheticConfig))}",
    )
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="at once (1)")
    parser.add_argument("--no-labels", action="store_true", help="write no Labels folder")
    parser.add_argument(
        "--stats", type=int, metavar="N", help="write nothing, print what happens in N clips"
    )
    return parser


def _span(text: str) -> tuple[int, int]:
    return _two_numbers(text, "-", "N or A-B")


def _size(text: str) -> tuple[int, int]:
    return _two_numbers(text.lower(), "x", "HEIGHTxWIDTH")


def _two_numbers(text: str, separator: str, form: str) -> tuple[int, int]:
    """Two whole numbers, or one that stands for both."""
    first, _, second = text.partition(separator)
    try:
        return int(first), int(second or first)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form {form}") from None


def _settings(assignments: Sequence[str]) -> dict[str, float | tuple[float, ...]]:
    """``["leave=0.5", "object_size=0.1,0.4"]`` as keyword arguments."""
    settings: dict[str, float | tuple[float, ...]] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            numbers = []
        if not equals or not numbers:
            raise InputError(f"--set {text}: expected KNOB=NUMBER or KNOB=LOW,HIGH")
        settings[name] = tuple(numbers) if len(numbers) > 1 else numbers[0]
    return settings


if __name__ == "__main__":
    run_command(main)
