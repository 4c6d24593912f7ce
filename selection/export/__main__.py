"""python -m selection.export RUN --format FORMAT: the selected masks in another form."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stseg.cli import EXIT_OK, CommandParser, counted, print_line, run_command
from stseg.errors import InputError
from stseg.files import write_json

FORMATS = (
    "coco",
    "ytvis",
    "fiftyone",
    "cvat",
    "labelstudio",
    "labelstudio-video",
    "davis",
    "training",
    "overlay",
)
LAYOUT = """\
what is written:
  coco       OUTPUT, a JSON file: an image per frame, run-lengths per object and frame
  ytvis      OUTPUT, a JSON file: a track per object of a video
  fiftyone   OUTPUT, a folder: manifest.json  data/<video>.mp4  labels/<video>.json
             (in FiftyOne: dataset type FiftyOneVideoLabelsDataset)
  cvat       OUTPUT, a folder: <video>.xml (CVAT for video 1.1)  labels.json
  labelstudio  OUTPUT, a folder: tasks.json (a task per frame, brush masks)  config.xml
  labelstudio-video  OUTPUT, a folder: tasks.json (a task per video, a track of boxes per object)
             config.xml  videos/<video>.mp4
  davis      OUTPUT, a folder: Annotations/480p/<video>/00000.png  ImageSets/2017/val.txt
             JPEGImages (links to the data set's frames)
  training   OUTPUT, a folder: Annotations/<video>/00000.png (255: to be ignored)
             weights.json  JPEGImages (a link to the data set's frames)
  overlay    OUTPUT, a folder: <video>.mp4"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "selection.export", "Write the selected masks of a run in another form.", epilog=LAYOUT
    )
    p.add_argument("run", help="the run folder")
    p.add_argument("--format", required=True, choices=FORMATS)
    p.add_argument("--output", help="(default: RUN/export/<format>, with .json for a file)")
    p.add_argument("--videos", nargs="+", default=[], metavar="NAME", help="only these videos")
    p.add_argument(
        "--fps",
        type=float,
        default=12.0,
        help="fiftyone, labelstudio-video, overlay: frames per second (%(default)s)",
    )
    p.add_argument("--unsure", type=float, default=0.5, metavar="W",
                   help="training: ignore objects on frames of less weight (0.5)")  # fmt: skip
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and export; returns the exit code."""
    arguments = parser().parse_args(argv)
    if not arguments.fps > 0:
        raise InputError(f"--fps {arguments.fps} is no speed: give a number above 0")
    from selection.export import (
        coco,
        open_run_masks,
        write_cvat,
        write_davis,
        write_fiftyone,
        write_labelstudio,
        write_labelstudio_video,
        write_overlays,
        write_training,
        youtube_vis,
    )

    run = open_run_masks(arguments.run, tuple(arguments.videos))
    films = {
        "fiftyone": write_fiftyone,
        "labelstudio-video": write_labelstudio_video,
        "overlay": write_overlays,
    }
    to_file = {"coco": coco, "ytvis": youtube_vis}
    suffix = ".json" if arguments.format in to_file else ""
    target = Path(arguments.output or run.root / "export" / f"{arguments.format}{suffix}")
    if arguments.format in to_file:
        target.parent.mkdir(parents=True, exist_ok=True)
        content = to_file[arguments.format](run)
        write_json(target, content, indent=None)
        made = counted(len(content["annotations"]), "annotation")
        print_line(f"{made} of {counted(len(run.videos), 'video')}: {target}")
        return EXIT_OK
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"output {target} is not an empty folder: choose a new one")
    target.mkdir(parents=True, exist_ok=True)
    if arguments.format == "training":
        count = write_training(run, target, arguments.unsure)
    elif arguments.format in films:
        count = films[arguments.format](run, target, arguments.fps)
    else:
        folders = {"cvat": write_cvat, "labelstudio": write_labelstudio, "davis": write_davis}
        count = folders[arguments.format](run, target)
    print_line(f"{count} frames of {counted(len(run.videos), 'video')}: {target}")
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
