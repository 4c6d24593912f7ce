"""python -m selection.override RUN VIDEO MEMBER: choose other masks than the run did."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stseg.cli import EXIT_OK, CommandParser, print_line
from stseg.errors import InputError
from stseg.text import read_text

if TYPE_CHECKING:
    from study.apply_override import Override

LAYOUT = """\
what is rewritten in the run folder:
  masks/<video>/            the masks of the candidate, given masks verbatim
  selection/<video>.json    with "overridden": true
  submission.zip  selection.csv  summary.json  report/
  overrides.jsonl           one line per change: who, when, what
  overridden/               what the run itself had selected

a file of overrides (--file) has a JSON object per line:
  {"video": "0a1b2c3d", "candidate": "cutie"}
  {"video": "0a1b2c3d", "candidate": "sam2-large", "object": 3, "frames": [20, 45]}

Members need the predictions of a run made with --keep-soft; pseudo-label and --undo do not."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "selection.override",
        "Put another candidate's masks in place of what a run selected.",
        epilog=LAYOUT,
    )
    p.add_argument("run", help="the run folder")
    p.add_argument("video", nargs="?", help="name of the video")
    p.add_argument("member", nargs="?", help="a member, or pseudo-label")
    p.add_argument("--object", type=int, metavar="ID", help="for this object alone")
    p.add_argument("--frames", type=int, nargs=2, metavar=("FIRST", "LAST"),
                   help="on these frames alone, counted from 0")  # fmt: skip
    p.add_argument("--file", metavar="PATH", help="many overrides, a JSON object per line")
    p.add_argument("--undo", action="store_true", help="restore what the run itself selected")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and override; returns the exit code."""
    arguments = parser().parse_args(argv)
    wishes = wanted(arguments)
    from study.apply_override import apply_overrides
    from study.edits import person

    for line in apply_overrides(arguments.run, wishes, person()):
        what = "all objects" if line.object is None else f"object {line.object}"
        if line.frames is not None:
            what += f", frames {line.frames[0]} to {line.frames[1] - 1}"
        chosen = line.candidate or "what the run selected"
        print_line(f"{line.video}, {what}: {chosen}")
    return EXIT_OK


def wanted(arguments: argparse.Namespace) -> list[Override]:
    """The overrides that a command line asks for."""
    from study.apply_override import Override

    if arguments.file:
        if arguments.video:
            raise InputError("give one video and member, or --file, not both")
        return read_overrides(Path(arguments.file))
    if not arguments.video or bool(arguments.member) == arguments.undo:
        raise InputError("give a video and a member, a video and --undo, or --file")
    frames = half_open(arguments.frames) if arguments.frames else None
    return [Override(arguments.video, arguments.member, arguments.object, frames)]


def half_open(frames: Sequence[int]) -> tuple[int, int]:
    """First and last frame as first and the one after the last."""
    first, last = frames
    return int(first), int(last) + 1


def read_overrides(path: Path) -> list[Override]:
    """The overrides in a file, in order."""
    from study.apply_override import Override

    lines = read_text(path, "file of overrides").splitlines()
    wishes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            frames = half_open(value["frames"]) if value.get("frames") else None
            wish = Override(value["video"], value["candidate"], value.get("object"), frames)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f'line {number} of {path} is no override: expected {{"video": ..., "candidate":'
                ' ...}, with an "object" or "frames": [first, last] where not all are meant'
            ) from None
        wishes.append(wish)
    if not wishes:
        raise InputError(f"file of overrides {path} is empty: write one per line")
    return wishes
