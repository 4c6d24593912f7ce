"""Masks that somebody made: a folder or a zip, read in place, and the rules they must keep.

The same rules judge a submission (`mose.check`) and a folder that serves as a model.
"""

from __future__ import annotations

import io
import os
import zipfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from mose.findings import Finding
from mose.masks import MaskError, decode_mask, object_ids, values
from stseg.errors import InputError

MAX_MASK_BYTES = 64 << 20
"""No mask is larger: what claims to be is not unpacked."""

PNG_END = b"IEND\xaeB`\x82"
"""The last chunk of every whole PNG, with its checksum."""

JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


class Results:
    """The files under a folder or in a zip, by relative name; nothing is unpacked to disk.

    path        the folder or zip
    names       relative names with ``/``, ascending, without directories
    duplicates  names that a zip holds twice
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(f"{self.path} does not exist: give a folder or a zip of masks")
        self._archive = None if self.path.is_dir() else _open_zip(self.path)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._listed))

    def below(self, folder: str) -> list[str]:
        """Names of the files below a folder ("a/b/"), without it."""
        start = bisect_left(self.names, folder)
        end = bisect_left(self.names, folder[:-1] + chr(ord("/") + 1))
        return [name.removeprefix(folder) for name in self.names[start:end]]

    @property
    def duplicates(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, count in self._listed.items() if count > 1))

    @cached_property
    def _listed(self) -> Counter[str]:
        return Counter(_walk(self.path) if self._archive is None else _files(self._archive))

    def read(self, name: str) -> bytes:
        """The content of one file. `InputError` if a zip's entry is damaged or no mask's size."""
        if self._archive is None:
            return (self.path / name).read_bytes()
        try:
            entry = self._archive.getinfo(name)
            if entry.flag_bits & 1:
                raise InputError(f"{self.path} is encrypted: pack it without a password")
            if entry.file_size > MAX_MASK_BYTES:
                raise InputError(f"entry {name} of {self.path} is too large for a mask: remove it")
            return self._archive.read(entry)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
            raise InputError(
                f"entry {name} of {self.path} is damaged ({error}): pack it again"
            ) from None


def _walk(root: Path) -> Iterator[str]:
    for folder, _, files in os.walk(root, followlinks=True):
        below = Path(folder).relative_to(root)
        yield from ((below / name).as_posix() for name in files)


def _files(archive: zipfile.ZipFile) -> Iterator[str]:
    return (entry.filename for entry in archive.infolist() if not entry.is_dir())


def _open_zip(path: Path) -> zipfile.ZipFile:
    """The archive; `InputError` if it is none or holds names that lead outside."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path} is not a whole zip ({error}): give a folder or a zip of masks"
        ) from None
    for name in archive.namelist():
        unsafe = name.startswith("/") or "\\" in name or ":" in name
        if unsafe or ".." in PurePosixPath(name).parts:
            raise InputError(
                f"zip {path} holds the name '{name}', which is absolute, leads outside or has"
                " backslashes: pack it again with names like <video>/00000.png"
            )
    return archive


def is_junk(name: str) -> bool:
    """Whether an operating system, not a person, put the file there."""
    parts = PurePosixPath(name).parts
    return parts[0] in JUNK or parts[-1] in JUNK or parts[-1].startswith("._")


def wrapping(names: Sequence[str], videos: Collection[str] = ()) -> str:
    """The folders around all videos: "" or "results/" or "a/b/".

    A folder wraps if every file lies in it, two levels or more below, and it is not itself
    one of ``videos``.
    """
    parts = [PurePosixPath(name).parts for name in names if not is_junk(name)]
    depth = 0
    while parts and all(len(p) > depth + 2 for p in parts):
        tops = {p[depth] for p in parts}
        if len(tops) > 1 or tops & set(videos):
            break
        depth += 1
    return "".join(f"{part}/" for part in parts[0][:depth]) if parts else ""


def by_video(names: Sequence[str], prefix: str) -> dict[str, list[str]]:
    """Video -> names of its files below its folder; files in no video's folder under ""."""
    videos: dict[str, list[str]] = {}
    for name in names:
        inside = name.removeprefix(prefix)
        video, slash, rest = inside.partition("/")
        known = slash and name.startswith(prefix) and not is_junk(name)
        videos.setdefault(video if known else "", []).append(rest if known else name)
    return videos


def name_findings(
    video: str, files: Collection[str], frames: Sequence[str] | None, folder: str
) -> Iterator[Finding]:
    """Compare file names of a video's results with its frames' names.

    files    names below the video's folder; frames: stems of the frames, None: not known;
    folder   how messages call the video's folder, with a slash at its end
    """
    stems = set()
    for file in sorted(files):
        stem, dot, suffix = file.rpartition(".")
        if not (suffix == "png" and dot and stem.isascii() and stem.isdigit()):
            yield Finding(
                "file-name",
                f"file {folder}{file} is not named like 00000.png: scorers that turn names into"
                " numbers stop there, remove or rename it",
                video,
                file,
            )
        else:
            stems.add(stem)
    if frames is None:
        return
    missing = [frame for frame in frames if frame not in stems]
    extra = sorted(stems - set(frames))
    if missing:
        yield Finding(
            "missing-frame",
            f"video {video} has no mask {folder}{missing[0]}.png{_more(missing)}: scorers stop"
            " or shift all its frames, write a mask for every frame",
            video,
            f"{missing[0]}.png",
        )
    if extra:
        yield Finding(
            "unknown-frame",
            f"mask {folder}{extra[0]}.png{_more(extra)} belongs to no frame of video {video}"
            f" (frames are named like {frames[0]}): remove or rename it",
            video,
            f"{extra[0]}.png",
        )


def _more(items: Sequence[str]) -> str:
    return f" (and {len(items) - 1} more)" if len(items) > 1 else ""


def judge_mask(
    data: bytes,
    name: str,
    video: str,
    size: tuple[int, int] | None = None,
    ids: Collection[int] | None = None,
    *,
    binary: bool | None = None,
) -> tuple[np.ndarray | None, list[Finding]]:
    """Decode one mask and hold it against the rules.

    data     content of the PNG; name: what messages call it
    size     (height, width) of the frames, None: not known
    ids      the ids that it may hold, None: not known
    binary   as for `decode_mask`

    Returns ``(height, width) uint8`` ids, or None where nothing could be decoded, and what
    is wrong with it.
    """
    file = PurePosixPath(name).name
    try:
        mask = decode_mask(io.BytesIO(data), name, binary=binary)
    except MaskError as error:
        rule = "undecodable" if error.problem == "undecodable" else "mode"
        silent = "; a scorer would read wrong ids from it without a word" if rule == "mode" else ""
        return None, [Finding(rule, f"{error}{silent}", video, file)]
    findings = []
    if PNG_END not in data[-64:]:
        findings.append(Finding("undecodable", f"mask {name} is cut off: replace it", video, file))
    if size is not None and mask.shape != size:
        findings.append(
            Finding(
                "size",
                f"mask {name} is {mask.shape[0]} x {mask.shape[1]}, but video {video} is {size[0]}"
                f" x {size[1]}: scorers stop there, write masks of the frames' size",
                video,
                file,
            )
        )
    if ids is not None:
        foreign = [value for value in values(mask) if value and value not in ids]
        if foreign:
            findings.append(
                Finding(
                    "object-id",
                    f"mask {name} holds {_ids(foreign)}, but the given masks of video {video}"
                    f" hold {_ids(sorted(ids)) or 'no object'}: keep the given ids",
                    video,
                    file,
                )
            )
    return mask, findings


def _ids(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:8])) + (", ..." if len(ids) > 8 else "")
    return f"id {shown}" if len(ids) == 1 else f"ids {shown}" if ids else ""


def first_mask_finding(
    result: np.ndarray, given: np.ndarray, name: str, video: str
) -> Finding | None:
    """A finding where the objects of the given first mask are not in the result as given."""
    if result.shape != given.shape:
        return None
    differs = (result != given) & ((given > 0) | np.isin(result, object_ids(given)))
    if not differs.any():
        return None
    return Finding(
        "first-mask",
        f"mask {name} differs from the given first mask in {int(differs.sum())} pixels: a sign"
        " of resized or renumbered masks, write the given mask itself",
        video,
        PurePosixPath(name).name,
    )
