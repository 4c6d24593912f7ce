"""python -m selection.imports PATH OUTPUT: masks in another form, as folders of PNGs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stseg.cli import EXIT_OK, CommandParser, counted, print_line, run_command
from stseg.errors import InputError

LAYOUT = """\
PATH is what selection.export writes, or the tool gives back:
  CVAT for video 1.1   <video>.xml, or a folder of such
  Label Studio         a JSON file of tasks with brush masks, or a folder with tasks.json
  COCO, YouTube-VIS    a JSON file with run-lengths
  DAVIS, MOSE          a folder with Annotations/
  SA-V, training part  a folder of movies and <video>_manual.json, or of such folders

what is written:
  OUTPUT/Annotations/<video>/00000.png    palette PNGs of object ids, pixel by pixel the same
  of SA-V, OUTPUT/Annotations/<video>/000/00000.png and links to the movies in OUTPUT/JPEGImages"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "selection.imports", "Read masks of another tool into folders of PNGs.", epilog=LAYOUT
    )
    p.add_argument("path", type=Path, metavar="PATH")
    p.add_argument("output", type=Path, metavar="OUTPUT")
    p.add_argument(
        "--frames", type=Path, metavar="DIR", help="CVAT: a folder of frames per video, for names"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and import; returns the exit code."""
    arguments = parser().parse_args(argv)
    target = arguments.output
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"output {target} is not an empty folder: choose a new one")
    from mose.boards import sav_train
    from selection.imports import read_videos, write_videos

    if sav_train.shown_by(arguments.path) is not None:
        sav_train.lay_out(arguments.path, target)
        names = [path.name for path in (target / "JPEGImages").iterdir()]
        print_line(f"masks of {counted(len(names), 'video')}: {target / 'Annotations'}")
        return EXIT_OK
    videos = read_videos(arguments.path, arguments.frames)
    count = write_videos(videos, target)
    print_line(f"{count} masks of {counted(len(videos), 'video')}: {target / 'Annotations'}")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
