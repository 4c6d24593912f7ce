"""The submission zip: video folders at the root, the same bytes for the same masks."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mose.video import numbered_files
from stseg.errors import InputError
from stseg.files import open_atomic

TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold, so that no entry depends on when it was made."""

PERMISSIONS = stat.S_IFREG | 0o644
CREATED_ON_UNIX = 3


def write_submission(
    masks: str | Path,
    target: str | Path,
    videos: Iterable[str] | None = None,
    frames: Mapping[str, Collection[str]] | None = None,
    prefix: str = "",
) -> int:
    """Pack ``masks/<video>/00000.png`` into the zip ``target``; returns the number of masks.

    videos   the videos to pack, each of which must be there; None: every folder
    frames   video -> frame names ("00005"), for a server that wants only some frames; a
             video that is not in it is packed whole
    prefix   folder of the zip that holds the videos, with a slash at its end

    Entries are sorted, carry one fixed time and permission and are stored as they are (PNGs
    are compressed already), so equal masks give an equal zip. One mask is in memory at a
    time. The zip appears under its name only when it is complete and on the disk. Raises
    `InputError` for a missing video or frame and for masks not named by frame number.
    """
    masks, target = Path(masks), Path(target)
    chosen = chosen_videos(masks, videos)
    count = 0
    with appearing_zip(target) as archive:
        for video in chosen:
            wanted = None if frames is None else frames.get(video)
            for path in masks_of(masks / video, wanted):
                with (
                    open(path, "rb") as source,
                    _entry(
                        archive, f"{prefix}{text_name(video)}/{path.name}", path.stat().st_size
                    ) as sink,
                ):
                    shutil.copyfileobj(source, sink)
                count += 1
    return count


def write_entries(target: str | Path, entries: Iterable[tuple[str, bytes]]) -> int:
    """Pack files, name and content, into the zip ``target`` as `write_submission` does; returns
    their number. One of them is in memory at a time."""
    count = 0
    with appearing_zip(Path(target)) as archive:
        for name, data in entries:
            with _entry(archive, name, len(data)) as sink:
                sink.write(data)
            count += 1
    return count


@contextmanager
def appearing_zip(target: Path) -> Iterator[zipfile.ZipFile]:
    """A zip to write to, which appears when the block ends without an exception."""
    with (
        open_atomic(target, sync=True) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        yield archive
    _sync_folder(target.parent)


def chosen_videos(masks: Path, videos: Iterable[str] | None) -> list[str]:
    """The videos to pack, ascending; `InputError` for one that has no folder of masks."""
    try:
        there = {p.name for p in masks.iterdir() if p.is_dir() and not p.name.startswith(".")}
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"folder {masks} does not exist: give the folder of masks") from None
    chosen = sorted(there if videos is None else set(videos))
    if not chosen:
        raise InputError(f"folder {masks} holds no masks: expected <video>/00000.png in it")
    for video in chosen:
        if video not in there:
            raise InputError(
                f"folder {masks} holds no masks of video {video}: make them or leave it out"
            )
    return chosen


def masks_of(folder: Path, wanted: Collection[str] | None = None) -> list[Path]:
    """The masks of a folder in the order of their frames, or those of the wanted frames."""
    paths = numbered_files(folder, (".png",), "mask")
    if wanted is not None:
        missing = sorted(set(wanted) - {path.stem for path in paths})
        if missing:
            raise InputError(f"mask {folder / missing[0]}.png is missing: make it first")
        paths = [path for path in paths if path.stem in wanted]
    if not paths:
        raise InputError(f"folder {folder} holds no masks: expected 00000.png, 00001.png, ...")
    return paths


def _entry(archive: zipfile.ZipFile, name: str, size: int) -> IO[bytes]:
    entry = zipfile.ZipInfo(name, TIMESTAMP)
    entry.create_system = CREATED_ON_UNIX
    entry.external_attr = PERMISSIONS << 16
    entry.file_size = size
    return archive.open(entry, "w")


def text_name(name: str) -> str:
    """A folder's name as text: bytes that are none become ``%`` and their number, as names in
    zips are text."""
    return "".join(f"%{ord(c) & 0xFF:02X}" if "\udc80" <= c <= "\udcff" else c for c in name)


def _sync_folder(folder: Path) -> None:
    """Make sure that the renaming itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
