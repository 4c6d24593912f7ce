"""What a board's server makes of a folder or zip, besides what every server makes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from mose.boards.board import Board, MaskForm
from mose.boards.packing import folder_names
from mose.boards.vots import region_file
from mose.dataset import Dataset
from mose.findings import Finding
from mose.readers.regions import parse_trajectory
from mose.results import Results, judge_mask, name_findings, wrapping
from stseg.errors import InputError


def prefix_of(form: MaskForm, names: Sequence[str], videos: Collection[str]) -> str:
    """The folders around all videos of a folder or zip of masks in a form."""
    if form is not MaskForm.PER_OBJECT:
        return wrapping(names, videos)
    without = []
    for name in names:
        *folders, _, file = ["", *name.split("/")]
        without.append("/".join([*folders[1:], file]) if len(folders) > 1 else name)
    return wrapping(without, videos)


def folder_findings(board: Board, results: Results, prefix: str, videos: int) -> Iterator[Finding]:
    """What concerns the folder or zip as a whole; a folder need not have what only a zip must."""
    zipped = results.path.is_file()
    if board.prefix and zipped and prefix != board.prefix:
        yield Finding(
            "board-folder",
            f"the videos lie {f'in the folder {prefix!r}' if prefix else 'at the root'} of the zip:"
            f" {board.server} looks for them in '{board.prefix}', pack them there",
            file=prefix,
        )
    elif prefix and prefix != board.prefix:
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
    if videos < board.least:
        yield Finding(
            "single-video",
            f"{results.path} holds {videos} video: {board.server} takes the folder of a single one"
            " for a folder around all and stops, add the others",
        )
    size = results.path.stat().st_size if zipped else 0
    if board.size_limit is not None and size > board.size_limit:
        yield Finding(
            "size-limit",
            f"{results.path} has {size / 1e6:,.0f} MB: {board.server} takes at most"
            f" {board.size_limit / 1e6:,.0f} MB, leave out frames that it does not want",
        )


@dataclass(frozen=True)
class ObjectResults:
    """The masks of one video, a folder per object.

    results   is the folder or zip, ``folder`` the video's in it, with a slash at its end
    files     are the names below it
    size      is (height, width) of the frames, None: not known
    """

    results: Results
    video: str
    folder: str
    files: Sequence[str]
    size: tuple[int, int] | None = None


def object_findings(board: Board, there: ObjectResults, dataset: Dataset | None) -> list[Finding]:
    """What is wrong with masks that lie in one folder per object."""
    groups: dict[str, list[str]] = {}
    for file in there.files:
        folder, _, name = file.rpartition("/")
        groups.setdefault(folder, []).append(name)
    if "" in groups:
        sentence = (
            f"mask {there.folder}{groups[''][0]} lies in no object's folder: {board.server} looks"
            f" for one binary mask per object, like {there.folder}000/{groups[''][0]}"
        )
        return [Finding("objects", sentence, there.video, groups[""][0])]
    findings: list[Finding] = []
    frames: Sequence[str] | None = None
    wanted: Collection[str] | None = None
    if dataset is not None:
        opened = dataset.video(there.video)
        frames, wanted = opened.frame_names, board.wanted(dataset, there.video)
        for name in sorted(set(folder_names(dataset, there.video).values()) - groups.keys()):
            sentence = (
                f"video {there.video} has no folder {there.folder}{name} of an object that is"
                f" given: {board.server} stops there, write its masks"
            )
            findings.append(Finding("objects", sentence, there.video, name))
    for name, files in sorted(groups.items()):
        folder = f"{there.folder}{name}/"
        findings += name_findings(there.video, files, frames, folder, wanted)
        for file in files:
            path = f"{folder}{file}"
            data = there.results.read(path)
            findings += judge_mask(data, path, there.video, there.size, binary=True)[1]
    return findings


def region_findings(board: Board, results: Results, dataset: Dataset) -> list[Finding]:
    """What is wrong with region files, held against a data set that was laid out."""
    findings: list[Finding] = []
    for name in dataset.videos:
        video = dataset.video(name)
        for object_id in video.object_ids:
            path = region_file(dataset.root, name, object_id)
            findings += _region_file(board, results, path, name, len(video))
    return findings


def _region_file(
    board: Board, results: Results, path: str, video: str, frames: int
) -> Iterator[Finding]:
    other = path.removesuffix(".bin") + ".txt"
    there = next((name for name in (path, other) if name in results.names), None)
    if there is None:
        yield Finding(
            "regions",
            f"video {video} has no file {path}: {board.server} packs nothing until every object"
            " has its regions, write them",
            video,
            path,
        )
        return
    try:
        regions = parse_trajectory(results.read(there), there)
    except InputError as error:
        yield Finding("regions", str(error), video, there)
        return
    if len(regions) != frames:
        yield Finding(
            "regions",
            f"region file {there} holds {len(regions)} regions, but video {video} has {frames}"
            f" frames: {board.server} stops there, write one for every frame",
            video,
            there,
        )
