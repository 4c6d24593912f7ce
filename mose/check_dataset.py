"""The rules for a data set: what a run, or a server, could not use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mose.dataset import Dataset
from mose.findings import Finding
from mose.masks import VOID, values
from mose.results import PNG_END, judge_mask
from mose.video import IMAGE_SUFFIXES, Video, numbered_files, read_frame
from stseg.errors import InputError

FILE_ENDS = {"JPEG": b"\xff\xd9", "PNG": PNG_END}
"""What the last bytes of a whole image file hold."""


def video_findings(dataset: Dataset, name: str) -> list[Finding]:
    """What is wrong with one video's frames, given masks and meta entry.

    Frames are judged by their header and end, masks are decoded.
    """
    try:
        video = dataset.video(name)
        size = video.height, video.width
    except InputError as error:
        return [Finding("video", str(error), name)]
    findings: list[Finding] = []
    for path in numbered_files(dataset.images / name, IMAGE_SUFFIXES, "frame"):
        findings += _frame_findings(path, name, size)
    ids: set[int] = set()
    for path in video.prompts.paths():
        mask, found = judge_mask(path.read_bytes(), str(path), name, size, binary=False)
        findings += found
        present = set(values(mask)) - {0} if mask is not None else set()
        ids |= present
        if VOID in present and present != {VOID}:
            sentence = f"mask {path} holds void pixels (255): they are taken for background"
            findings.append(Finding("void", sentence, name, path.name))
    if not ids:
        sentence = f"video {name} has no object to follow: no given mask holds one"
        findings.append(Finding("video", sentence, name))
    elif int(video.prompts.paths()[0].stem) != int(video.frame_names[0]):
        sentence = (
            f"video {name} has its first mask on frame {video.prompts.paths()[0].stem}, not on"
            f" its first frame {video.frame_names[0]}"
        )
        findings.append(Finding("late-first-mask", sentence, name))
    return [*findings, *_meta_findings(dataset, video)]


def _frame_findings(path: Path, video: str, size: tuple[int, int]) -> Iterator[Finding]:
    try:
        with Image.open(path) as image:
            found, end = (image.height, image.width), FILE_ENDS.get(image.format or "", b"")
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 64))
            whole = end in file.read()
        if not whole:
            read_frame(path)  # what follows the end of the image may be anything
    except (InputError, OSError, SyntaxError, ValueError) as error:
        reason = str(error) if isinstance(error, InputError) else f"frame {path}: not an image"
        yield Finding("undecodable", reason, video, path.name)
        return
    if found != size:
        yield Finding(
            "frame-size",
            f"frame {path} is {found[0]} x {found[1]}, but the first frame of video {video} is"
            f" {size[0]} x {size[1]}: all frames of a video must have one size",
            video,
            path.name,
        )


def _meta_findings(dataset: Dataset, video: Video) -> Iterator[Finding]:
    entry = dataset.meta.get(video.name, {})
    facts = {"length": len(video), "height": video.height, "width": video.width}
    for key, value in facts.items():
        if entry.get(key) not in (None, value):
            yield Finding(
                "meta",
                f"the meta file gives video {video.name} {key} {entry[key]}, on disk it is {value}",
                video.name,
            )
