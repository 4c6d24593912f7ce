"""Says what a server would reject or silently score as zero: ``python -m mose.check PATH``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from PIL import Image

from mose.cli import EXIT_INCOMPLETE, EXIT_OK, Progress, run_command, say
from mose.dataset import Dataset, is_dataset, open_dataset, split_folders
from mose.errors import InputError
from mose.findings import Finding, harmful, lines
from mose.masks import VOID, read_mask, values
from mose.results import (
    PNG_END,
    Results,
    by_video,
    first_mask_finding,
    judge_mask,
    name_findings,
    wrapping,
)
from mose.video import IMAGE_SUFFIXES, Video, numbered_files, read_frame

FILE_ENDS = {"JPEG": b"\xff\xd9", "PNG": PNG_END}
"""What the last bytes of a whole image file hold."""

WORTH_PROCESSES = 8
"""Fewer videos than this are checked faster without starting other processes."""

LAYOUT = """\
PATH is one of
  a data set      JPEGImages/<video>/00000.jpg and Annotations/<video>/00000.png, or
                  train, valid, test that hold such; DAVIS's folders and lists
  a results folder  <video>/00000.png
  a zip of one    <video>/00000.png, read in place

Results are held against the data set that --dataset names; without it, missing videos,
missing frames and foreign ids cannot be seen. Frames of a data set are checked by their
header and end, masks are decoded.

Exit code: 0 nothing, or notes only; 1 something would be rejected or scored as zero;
2 PATH or the data set cannot be read.
"""


@dataclass(frozen=True)
class Report:
    """What was checked and what was found.

    subject   what was checked, for people
    videos    number of videos
    findings  in the order of the videos
    """

    subject: str
    videos: int
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        return not harmful(self.findings)

    def table(self) -> list[str]:
        verdict = (
            "nothing would be rejected or scored as zero"
            if self.accepted
            else "this would be rejected, or scored as zero without a word: mend the above"
        )
        head = f"checked {self.videos:,} videos of {self.subject}"
        return [head, *lines(self.findings), verdict]

    def json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "videos": self.videos,
            "accepted": self.accepted,
            "findings": [finding.json() for finding in self.findings],
        }


def check_results(
    path: str | Path, dataset: Dataset | None = None, processes: int | None = None
) -> Report:
    """Check a folder or zip of masks, against a data set where one is given.

    Raises `InputError` where there is nothing to check or a zip holds absolute names or
    names with ``..``.
    """
    results = Results(path)
    known = dataset.videos if dataset else ()
    prefix = wrapping(results.names, known)
    files = by_video(results.names, prefix)
    strays = files.pop("", [])
    if not files:
        raise InputError(f"{path} holds no masks: expected <video>/00000.png in it")
    findings = list(_whole_findings(results, prefix, strays))
    findings += _video_set_findings(sorted(files), dataset)
    videos = [name for name in sorted(files) if dataset is None or name in set(known)]
    check = partial(_check_result_video, results.path, prefix, dataset)
    items = [(name, tuple(files[name])) for name in videos]
    findings += _over_videos(check, items, processes)
    against = f" against {dataset.name} ({dataset.split})" if dataset else ""
    return Report(f"{path}{against}", len(files), tuple(findings))


def check_dataset(dataset: Dataset, processes: int | None = None) -> Report:
    """Check the frames and given masks of a data set."""
    findings = _over_videos(partial(_check_dataset_video, dataset), dataset.videos, processes)
    subject = f"data set {dataset.name} ({dataset.split})"
    return Report(subject, len(dataset), tuple(findings))


def _whole_findings(results: Results, prefix: str, strays: Iterable[str]) -> Iterator[Finding]:
    """What concerns the folder or zip as a whole."""
    if prefix:
        who = (
            "DAVIS's scorer rejects that, MOSEv2's forgives exactly one such folder"
            if prefix.count("/") == 1
            else "every scorer rejects that"
        )
        yield Finding(
            "wrapping-folder",
            f"all videos lie in the folder '{prefix}': {who}, put the video folders at the root",
            file=prefix,
        )
    for name in results.duplicates:
        yield Finding("duplicate-entry", f"entry {name} is there twice: pack it again", file=name)
    for name in strays:
        yield Finding("stray-file", f"file {name} lies in no video's folder", file=name)


def _video_set_findings(there: Sequence[str], dataset: Dataset | None) -> Iterator[Finding]:
    if dataset is None:
        return
    where = f"{dataset.name} ({dataset.split})"
    for name in sorted(set(dataset.videos) - set(there)):
        yield Finding("missing-video", f"video {name} is missing: it scores zero", name)
    for name in sorted(set(there) - set(dataset.videos)):
        yield Finding("unknown-video", f"folder {name} is no video of {where}", name)


def _check_result_video(
    path: Path, prefix: str, dataset: Dataset | None, item: tuple[str, tuple[str, ...]]
) -> list[Finding]:
    name, files = item
    folder = f"{prefix}{name}/"
    results = _opened(path, os.getpid())
    frames, size, ids, binary, first, given = None, None, None, False, None, None
    if dataset is not None:
        try:
            video = dataset.video(name)
            video.check_prompts()
        except InputError as error:
            return [Finding("video", f"the data set cannot be used: {error}", name)]
        frames, size, ids = video.frame_names, (video.height, video.width), video.object_ids
        binary = _given_as_binary(video)
        index = next(iter(video.prompts))
        first, given = f"{video.frame_names[index]}.png", video.prompts[index]
    findings = list(name_findings(name, files, frames, folder))
    for file in files:
        if not file.endswith(".png"):
            continue
        try:
            data = results.read(folder + file)
        except InputError as error:
            findings.append(Finding("undecodable", str(error), name, file))
            continue
        how = None if binary else False
        mask, found = judge_mask(data, folder + file, name, size, ids, binary=how)
        findings += found
        if mask is None:
            continue
        size = size or mask.shape
        if file == first and given is not None:
            changed = first_mask_finding(mask, given, folder + file, name)
            findings += [changed] if changed else []
    return findings


@lru_cache(maxsize=1)
def _opened(path: Path, process: int) -> Results:
    """The results, opened once in every process: forked ones would share a file position."""
    return Results(path)


def _given_as_binary(video: Video) -> bool:
    """Whether the data set itself writes 0/255 masks (DAVIS 2016)."""
    path = video.prompts.paths()[0]
    return VOID in values(read_mask(path, binary=False)) and values(read_mask(path))[-1] == 1


def _check_dataset_video(dataset: Dataset, name: str) -> list[Finding]:
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


def _over_videos(
    check: Callable[[Any], list[Finding]], items: Sequence[Any], processes: int | None
) -> list[Finding]:
    """Findings of every item, in order, by several processes where that pays."""
    wanted = processes or len(os.sched_getaffinity(0))
    bar = Progress(len(items), "checking")
    findings: list[Finding] = []

    def gather(answers: Iterable[list[Finding]]) -> None:
        for answer in answers:
            findings.extend(answer)
            bar.advance()

    if wanted == 1 or len(items) < WORTH_PROCESSES:
        gather(map(check, items))
    else:
        with ProcessPoolExecutor(min(wanted, len(items))) as pool:
            gather(pool.map(check, items, chunksize=max(1, len(items) // (wanted * 16))))
    bar.close()
    return findings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mose.check",
        description="Say what a server would reject or silently score as zero.",
        epilog=LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", type=Path)
    parser.add_argument("--dataset", type=Path, metavar="ROOT", help="check results against it")
    parser.add_argument("--split", help="train, valid, test; of a data set: every split")
    parser.add_argument(
        "--annotations",
        action="append",
        metavar="FOLDER",
        help="folder of given masks, relative to the split (default Annotations); repeatable",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="default: one per CPU core")
    parser.add_argument("--json", action="store_true", help="print every finding as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = _parser().parse_args(arguments)
    opened = partial(open_dataset, annotations=args.annotations)
    if args.dataset is not None:
        dataset = opened(args.dataset, args.split)
        reports = [check_results(args.path, dataset, args.processes)]
    elif is_dataset(args.path):
        chosen = (args.split,) if args.split else split_folders(args.path) or (None,)
        reports = [check_dataset(opened(args.path, split), args.processes) for split in chosen]
    else:
        reports = [check_results(args.path, None, args.processes)]
    accepted = all(report.accepted for report in reports)
    if args.json:
        checks = [report.json() for report in reports]
        say(json.dumps({"accepted": accepted, "checks": checks}, indent=2))
    else:
        for report in reports:
            for line in report.table():
                say(line)
    return EXIT_OK if accepted else EXIT_INCOMPLETE


if __name__ == "__main__":
    run_command(main)
