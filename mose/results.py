"""A folder or zip of masks, read in place, and the rules that it must keep.

The same rules judge a submission (`mose.check`) and a folder that serves as a model.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from mose.findings import Finding
from mose.masks import MaskError, decode_mask, object_ids, values
from mose.readers.archives import Archive, walk
from mose.readers.folder import is_leftover
from mose.readers.masks import evidence_against_ids
from stseg.errors import InputError

PNG_START = b"\x89PNG"
PNG_END = b"IEND\xaeB`\x82"
"""The last chunk of every complete PNG, with its checksum."""


class Results:
    """The files under a folder or in a zip, by relative name; nothing is unpacked to disk.

    path        the folder or zip
    names       relative names with ``/``, ascending, without directories
    duplicates  names that a zip holds twice
    unusual     a name in a zip that is written otherwise than ``<video>/00000.png``, or None
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(f"{self.path} does not exist: give a folder or a zip of masks")
        self._archive = None if self.path.is_dir() else Archive(self.path)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(walk(self.path) if self._archive is None else self._archive.entries))

    def below(self, folder: str) -> list[str]:
        """Names of the files below a folder ("a/b/"), without it and what systems leave there."""
        start = bisect_left(self.names, folder)
        end = bisect_left(self.names, folder[:-1] + chr(ord("/") + 1))
        inner = (name.removeprefix(folder) for name in self.names[start:end])
        return [name for name in inner if not is_leftover(name)]

    @property
    def duplicates(self) -> tuple[str, ...]:
        return () if self._archive is None else tuple(sorted(set(self._archive.duplicates)))

    @property
    def unusual(self) -> str | None:
        return None if self._archive is None else self._archive.unusual

    def read(self, name: str) -> bytes:
        """The content of one file. `InputError` if it is a link to nothing, or a zip's entry is
        damaged or no mask's size."""
        if self._archive is not None:
            return self._archive.read(name)
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"mask {self.path / name} cannot be read ({error.strerror}): restore it"
            ) from None


def wrapping(names: Sequence[str], videos: Collection[str] = ()) -> str:
    """The folders around all videos: "" or "results/" or "a/b/".

    A folder wraps if every file lies in it, two levels or more below, and it is not itself
    one of ``videos``.
    """
    parts = [PurePosixPath(name).parts for name in names if not is_leftover(name)]
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
        known = slash and name.startswith(prefix) and not is_leftover(name)
        videos.setdefault(video if known else "", []).append(rest if known else name)
    return videos


def name_findings(
    video: str,
    files: Collection[str],
    frames: Sequence[str] | None,
    folder: str,
    wanted: Collection[str] | None = None,
) -> Iterator[Finding]:
    """Compare file names of a video's results with its frames' names.

    files    names below the video's folder; frames: stems of the frames, None: not known;
    folder   how messages call the video's folder, with a slash at its end
    wanted   stems of the frames that must have a mask; None: all
    """
    stems = set()
    known = set(frames or ())
    for file in sorted(files):
        stem, dot, suffix = file.rpartition(".")
        if suffix == "png" and dot and (stem in known or (stem.isascii() and stem.isdigit())):
            stems.add(stem)
        else:
            yield Finding(
                "file-name",
                f"file {folder}{file} is not named like 00000.png: scorers that turn names into"
                " numbers stop there, remove or rename it",
                video,
                file,
            )
    if frames is None:
        return
    needed = set(frames if wanted is None else wanted)
    missing = [frame for frame in frames if frame in needed and frame not in stems]
    extra = sorted(stems - known)
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
    binary: bool = False,
) -> tuple[np.ndarray | None, list[Finding]]:
    """Decode one mask and hold it against the rules.

    data     content of the PNG; name: what messages call it
    size     (height, width) of the frames, None: not known
    ids      the ids that it may hold, None: not known
    binary   whether it is the mask of one object, whose value does not matter

    Returns ``(height, width) uint8`` ids, or None where nothing could be decoded, and what
    is wrong with it.
    """
    file = PurePosixPath(name).name
    try:
        mask = decode_mask(io.BytesIO(data), name, binary=binary)
    except MaskError as error:
        rule = {"undecodable": "undecodable", "ids": "no-ids"}.get(error.problem, "mode")
        silent = "; a scorer would read wrong ids from it without a word" if rule == "mode" else ""
        return None, [Finding(rule, f"{error}{silent}", video, file)]
    findings = []
    evidence = evidence_against_ids(mask)
    if evidence:
        sentence = (
            f"mask {name} is no mask of object ids ({evidence}): save the ids themselves, without"
            " smoothing, compression or stretching"
        )
        findings.append(Finding("no-ids", sentence, video, file))
    if data.startswith(PNG_START) and PNG_END not in data[-64:]:
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
        findings += foreign_ids(mask, name, video, ids)
    return mask, findings


def foreign_ids(mask: np.ndarray, name: str, video: str, ids: Collection[int]) -> list[Finding]:
    """A finding where a mask holds other ids than those that are given."""
    foreign = [value for value in values(mask) if value and value not in ids]
    if not foreign:
        return []
    sentence = (
        f"mask {name} holds {_ids(foreign)}, but the given masks of video {video} hold"
        f" {_ids(sorted(ids)) or 'no object'}: keep the given ids"
    )
    return [Finding("object-id", sentence, video, PurePosixPath(name).name)]


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
