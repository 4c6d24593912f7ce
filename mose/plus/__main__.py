"""``python -m mose.plus build|report``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from stseg.cli import EXIT_INCOMPLETE, EXIT_OK, CommandParser, print_line, run_command
from stseg.errors import InputError

LAYOUT = """\
the sources, any subset:
  --mose, --davis DIR      [train/]JPEGImages/<video>/00000.jpg, Annotations/<video>/00000.png
  --burst DIR              annotations/train/train.json, frames/train/<data set>/<sequence>/
  --ovis DIR               annotations_train.json, train/<video>/
  --youtube-vis DIR        train.json, train/JPEGImages/<video>/

the output:
  JPEGImages/<source>_<video>/00000.jpg  Annotations/<source>_<video>/00000.png  ids 1..N, 255 void
  moseplus.txt   clips in it             clips.csv      every clip, its measures, in or out, why
  broken.csv     clips that cannot be read              LICENCES.txt

exit code: 0 all clips could be read, 1 some are broken (see broken.csv), 2 bad input."""


def parser() -> argparse.ArgumentParser:
    p = CommandParser("mose.plus", "One training set from five public ones.",
        epilog=LAYOUT
    )  # fmt: skip
    commands = p.add_subparsers(dest="command", required=True)
    b = commands.add_parser(
        "build", help="make a MOSE+", epilog=LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    for source in ("mose", "burst", "ovis", "youtube-vis", "davis"):
        b.add_argument(f"--{source}", metavar="DIR", type=Path, dest=source)
    b.add_argument("--output", required=True, type=Path)
    b.add_argument("--config", default="configs/mose_plus.yaml", help="(%(default)s)")
    b.add_argument("--exclude", nargs="*", default=[], help="more lists of evaluation videos")
    b.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    r = commands.add_parser("report", help="draw the distributions of the parts")
    r.add_argument("output", type=Path, help="a built MOSE+")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    arguments = parser().parse_args(argv)
    from mose.plus.report import read_clips, table, write_report

    if arguments.command == "report":
        print_line(table(read_clips(arguments.output)))
        print_line(f"{write_report(arguments.output)}")
        return EXIT_OK
    import dataclasses

    from mose.plus.build import build, licences
    from mose.plus.choose import SOURCES, load_config

    given = {s: getattr(arguments, s) for s in SOURCES if getattr(arguments, s)}
    if not given:
        raise InputError("no source is given: name at least one, such as --mose DIR")
    config = load_config(arguments.config)
    lists = (*config.exclude, *arguments.exclude)
    config = dataclasses.replace(config, exclude=lists)
    built = build(given, arguments.output, config, max(arguments.processes, 1))
    print_line(table(read_clips(arguments.output)))
    print_line(licences(given))
    kept = sum(bool(row["kept"]) for row in built.rows)
    print_line(f"{kept} of {len(built.rows)} clips in {arguments.output}")
    for name, reason in built.broken[:10]:
        print_line(f"broken: {name}: {reason}")
    return EXIT_INCOMPLETE if built.broken else EXIT_OK


if __name__ == "__main__":
    run_command(main)
