"""The rules for a data set: they find what a run or a server could not use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mose.dataset import Dataset
from mose.findings import Finding
from mose.meta import VideoMeta
from mose.palette import values
from mose.readers.folder import leftover, list_folder
from mose.readers.images import image_size, opened, read_frame
from mose.results import PNG_END, judge_mask
from mose.video import Video
from stseg.errors import InputError

FILE_ENDS = {"JPEG": b"\xff\xd9", "PNG": PNG_END}
"""The last bytes of a complete image file."""


def passed_over(dataset: Dataset) -> list[Finding]:
    """Entries beside the videos that are not used: leftovers of systems, and what lies among
    corrections. Masks of no video are in the data set's own notes."""
    findings = _leftovers(dataset.images, None)
    for folder in dataset.annotations:
        findings += _leftovers(folder, None)
    if dataset.corrections is not None:
        findings += _leftovers(dataset.corrections, None)
        for entry in sorted(dataset.corrections.iterdir()):
            if entry.is_file() and not leftover(entry.name):
                sentence = f"{entry} lies in no video's folder of corrections: it is not used"
                findings.append(Finding("stray-file", sentence, None, entry.name))
    return findings


def _leftovers(folder: Path, video: str | None) -> list[Finding]:
    entries = [(entry.name, leftover(entry.name)) for entry in sorted(folder.iterdir())]
    return [
        Finding("leftover", f"{folder / name} is passed over: {why}", video, name)
        for name, why in entries
        if why is not None
    ]


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
    for folder in (dataset.images / name, *(masks / name for masks in dataset.annotations)):
        findings += _leftovers(folder, name) if folder.is_dir() else []
    passed = len(findings)
    if (dataset.images / name).is_dir():
        for path in list_folder(dataset.images / name, "frame", name).paths:
            findings += _frame_findings(path, name, size)
    ids: set[int] = set()
    unusable = False
    for path in video.prompts.paths():
        binary = video.prompts.per_object
        mask, wrong = judge_mask(path.read_bytes(), str(path), name, size, binary=binary)
        findings += wrong
        unusable = unusable or mask is None
        ids |= set(values(mask)) - {0} if mask is not None else set()
    findings += _prompt_findings(video, bool(ids) or unusable, len(findings) == passed)
    return [*findings, *_meta_findings(dataset, video)]


def _prompt_findings(video: Video, objects: bool, readable: bool) -> Iterator[Finding]:
    """What the given masks come to.

    objects   whether some mask holds an object, or may hold one and has a finding of its own
    readable  whether all of the video can be read
    """
    name = video.name
    if not readable:
        if not objects:
            sentence = f"video {name} has no object to follow: no given mask holds one"
            yield Finding("video", sentence, name)
        return
    try:
        video.check_prompts()
        yield from video.notes
    except InputError as error:
        yield Finding("video", str(error), name)
        return
    first = video.frame_names[next(iter(video.prompts))]
    if first != video.frame_names[0]:
        sentence = (
            f"video {name} has its first mask on frame {first}, not on its first frame"
            f" {video.frame_names[0]}"
        )
        yield Finding("late-first-mask", sentence, name)


def _frame_findings(path: Path, video: str, size: tuple[int, int]) -> Iterator[Finding]:
    try:
        with opened(path, path, "frame") as image:
            end = FILE_ENDS.get(image.format or "", b"")
        own = image_size(path)
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 64))
            whole = end in file.read()
        if not whole:
            read_frame(path)  # what follows the end of the image may be anything
    except (InputError, OSError) as error:
        yield Finding("undecodable", str(error), video, path.name)
        return
    if own != size:
        yield Finding(
            "frame-size",
            f"frame {path} is {own[0]} x {own[1]}, but the first frame of video {video} is"
            f" {size[0]} x {size[1]}: all frames of a video must have one size",
            video,
            path.name,
        )


def _meta_findings(dataset: Dataset, video: Video) -> Iterator[Finding]:
    entry = dataset.meta.get(video.name, VideoMeta())
    for object_id in entry.objects or ():
        if object_id not in video.object_ids:
            yield Finding(
                "no-first-mask",
                f"the meta file lists object {object_id} of video {video.name}, but no given mask"
                " holds it: it is not followed and scores zero, add its first mask",
                video.name,
            )
    for key, said, value in (
        ("length", entry.length, len(video)),
        ("height", entry.height, video.height),
        ("width", entry.width, video.width),
    ):
        if said not in (None, value):
            yield Finding(
                "meta",
                f"the meta file gives video {video.name} {key} {said}, on disk it is {value}",
                video.name,
            )
