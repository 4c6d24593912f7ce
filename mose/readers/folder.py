"""The one lister of a folder of frames or masks: it accounts for every entry.

An entry is used, or passed over for a reason that is listed here (what operating systems and
tools leave), or named in a finding. Nothing vanishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mose.findings import NOTE, Finding
from mose.readers.numbers import Numbering, matched, number_names
from stseg.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MASK_SUFFIX = ".png"
MOVIE_SUFFIXES = (".mp4", ".mov", ".avi", ".webm", ".mkv", ".m4v")
OTHER_IMAGES = (
    ".gif",
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".jxl",
    ".exr",
    ".tga",
    ".ppm",
    ".pgm",
    ".pbm",
    ".dng",
    ".raw",
    ".npy",
    ".mat",
)
"""Files of frames or masks that are not read."""

IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"GIF8")
"""First bytes of the images that are read."""

LEFTOVERS = {
    "__macosx": "macOS's copy of attributes in a zip",
    ".ds_store": "macOS's view of a folder",
    "thumbs.db": "Windows' thumbnails",
    "ehthumbs.db": "Windows' thumbnails",
    "desktop.ini": "Windows' view of a folder",
    "$recycle.bin": "Windows' bin",
    "system volume information": "Windows' index",
    "@eadir": "a Synology's thumbnails",
    "#recycle": "a Synology's bin",
    "lost+found": "a file system's own",
}
"""Names, in small letters, that an operating system puts there, and what they are."""


def leftover(name: str) -> str | None:
    """Why an entry of this name is passed over; None where it is somebody's data."""
    if name.casefold() in LEFTOVERS:
        return LEFTOVERS[name.casefold()]
    if name.startswith("._"):
        return "macOS's copy of attributes"
    return "hidden" if name.startswith(".") else None


def is_leftover(path: str) -> bool:
    """Whether a relative name with ``/`` lies in, or is, a leftover that is not just hidden."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", ".")]
    return any(p.casefold() in LEFTOVERS or p.startswith("._") for p in parts)


class Numbered(NamedTuple):
    """A file and the number in its name."""

    number: int
    path: Path


@dataclass(frozen=True)
class Listing:
    """What a folder of frames or masks holds.

    folder     the folder
    kind       "frame" or "mask"
    files      what is used, in the order of the numbers
    findings   what is wrong or worth knowing, one sentence each
    ignored    names that are passed over, and why
    folders    names of folders in it
    """

    folder: Path
    kind: str
    files: tuple[Numbered, ...]
    findings: tuple[Finding, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        return [file.path for file in self.files]

    @property
    def numbers(self) -> dict[str, int]:
        """Name without suffix -> its number."""
        return {file.path.stem: file.number for file in self.files}

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that forbid nothing."""
        return tuple(finding for finding in self.findings if finding.severity == NOTE)

    def check(self) -> Listing:
        """Itself; `InputError` for the first finding that forbids using the folder, with how many
        more there are."""
        wrong = [finding.sentence for finding in self.findings if finding.severity != NOTE]
        if wrong:
            more = f"; {len(wrong) - 1} more there are to be mended" if wrong[1:] else ""
            raise InputError(f"{wrong[0]}{more}")
        return self


def list_folder(
    folder: str | Path,
    kind: str,
    video: str | None = None,
    frames: Mapping[str, int] | None = None,
) -> Listing:
    """The frames or masks of a folder.

    kind     "frame": images; "mask": PNGs. What they hold is not looked at here: their content
             tells whether they can be used.
    video    goes into the findings
    frames   of masks: names and numbers of the frames, which their own may repeat

    Raises `InputError` where there is no such folder.
    """
    return _Lister(Path(folder), kind, video).listed(frames)


def numbered_files(folder: str | Path, suffixes: Sequence[str], kind: str) -> list[Path]:
    """The files of ``folder`` with one of ``suffixes``, in the order of their numbers.

    `InputError` for whatever else is wrong with the folder.
    """
    listing = list_folder(folder, kind).check()
    return [path for path in listing.paths if path.suffix.lower() in suffixes]


class _Lister:
    def __init__(self, folder: Path, kind: str, video: str | None):
        self.folder, self.kind, self.video = folder, kind, video
        self.findings: list[Finding] = []
        self.suffixes = IMAGE_SUFFIXES

    def listed(self, frames: Mapping[str, int] | None) -> Listing:
        names: list[str] = []
        foreign: list[str] = []
        folders: list[str] = []
        ignored: list[tuple[str, str]] = []
        for entry in self._entries():
            suffix = os.path.splitext(entry.name)[1].lower()
            why = leftover(entry.name)
            if why is not None:
                ignored.append((entry.name, why))
            elif _is(entry.is_dir):
                folders.append(entry.name)
            elif not _is(entry.is_file):
                self._not_there(entry, suffix)
            elif suffix in self.suffixes:
                names.append(entry.name)
            else:
                foreign.append(entry.name)
        files = self._numbered(names, frames)
        self._foreign(foreign, files)
        if self.kind == "frame":
            self._kinds(files)
            self._gaps(files)
        if folders and files:
            for name in sorted(folders):
                self._find(
                    "stray-file",
                    f"folder {self.folder / name} lies among the {self.kind}s:"
                    " what is in it is not used",
                    name,
                )
        return Listing(
            self.folder,
            self.kind,
            tuple(files),
            tuple(self.findings),
            tuple(sorted(ignored)),
            tuple(sorted(folders)),
        )

    def _entries(self) -> Iterable[os.DirEntry[str]]:
        try:
            with os.scandir(self.folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"folder {self.folder} does not exist") from None

    def _find(self, rule: str, sentence: str, name: str) -> None:
        self.findings.append(Finding(rule, sentence, self.video, name))

    def _not_there(self, entry: os.DirEntry[str], suffix: str) -> None:
        path = self.folder / entry.name
        if not entry.is_symlink():
            self._find("stray-file", f"{path} is no file: it is not used", entry.name)
        elif suffix in (*self.suffixes, *OTHER_IMAGES) or path.stem.isdigit():
            target = os.readlink(path)
            self._find(
                "dangling",
                f"{self.kind} {path} is a link to a file that is not there"
                f" ({target}): fetch it (git annex get, datalad get) or remove the link",
                entry.name,
            )
        else:
            self._find("stray-file", f"{path} is a link to nothing: it is not used", entry.name)

    def _numbered(self, names: list[str], frames: Mapping[str, int] | None) -> list[Numbered]:
        if self.kind == "mask":
            png = {os.path.splitext(n)[0] for n in names if n.lower().endswith(MASK_SUFFIX)}
            others = [n for n in names if not n.lower().endswith(MASK_SUFFIX)]
            beside = [n for n in others if os.path.splitext(n)[0] in png]
            for name in sorted(beside):
                self._find(
                    "stray-file",
                    f"file {self.folder / name} lies beside the PNG of its name: the PNG is used",
                    name,
                )
            names = [n for n in names if n not in set(beside)]
        stems = {name: os.path.splitext(name)[0] for name in names}
        unique = list(dict.fromkeys(stems.values()))
        numbering = number_names(unique) if frames is None else matched(unique, frames)
        return sorted(self._unique(stems, numbering))

    def _unique(self, stems: Mapping[str, str], numbering: Numbering) -> Iterator[Numbered]:
        odd = set(numbering.odd)
        first: dict[int, str] = {}
        for name in sorted(stems):
            path = self.folder / name
            if stems[name] in odd:
                self._find(
                    "number",
                    f"{self.kind} {path} has a name that is not a number, or not"
                    f" built like the others: rename it like 00000{path.suffix}, or remove it",
                    name,
                )
                continue
            number = numbering.numbers[stems[name]]
            if number in first:
                self._find(
                    "same-number",
                    f"folder {self.folder} holds two {self.kind}s with the"
                    f" same number, {first[number]} and {name}: keep one of them",
                    name,
                )
                continue
            first[number] = name
            yield Numbered(number, path)

    def _foreign(self, names: Iterable[str], files: Sequence[Numbered]) -> None:
        stems = {file.path.stem for file in files}
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in OTHER_IMAGES and stem not in stems:
                self._find(
                    "unread-kind",
                    f"{self.kind} {self.folder / name} is of a kind that is"
                    f" not read ({suffix}): convert it to"
                    f" {'JPEG or PNG' if self.kind == 'frame' else 'PNG'}",
                    name,
                )
            elif suffix.lower() not in OTHER_IMAGES and stem.isdigit() and stem not in stems:
                self._find(
                    "unread-kind",
                    f"file {self.folder / name} has a number like a {self.kind}, but is of a kind"
                    f" that is not read ({suffix or 'no suffix'}): rename or remove it",
                    name,
                )
            elif suffix.lower() not in OTHER_IMAGES and _holds_image(self.folder / name):
                self._find(
                    "unread-kind",
                    f"file {self.folder / name} holds an image, but is not named like a"
                    f" {self.kind}: rename it like 00000.png, or remove it",
                    name,
                )
            else:
                sentence = f"file {self.folder / name} is no {self.kind}: it is not used"
                self._find("stray-file", sentence, name)

    def _kinds(self, files: Sequence[Numbered]) -> None:
        kinds: dict[str, int] = {}
        for file in files:
            suffix = file.path.suffix.lower().replace(".jpeg", ".jpg").replace(".tiff", ".tif")
            kinds[suffix] = kinds.get(suffix, 0) + 1
        if len(kinds) > 1:
            told = " and ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
            self._find(
                "frame-kinds",
                f"folder {self.folder} holds frames of two kinds, {told}:"
                " all are used, in the order of their numbers",
                "",
            )

    def _gaps(self, files: Sequence[Numbered]) -> None:
        steps = [(b.number - a.number, a, b) for a, b in pairwise(files)]
        least = min((step for step, _, _ in steps), default=1)
        gaps = [(a, b) for step, a, b in steps if step != least]
        if gaps:
            (a, b), more = gaps[0], f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
            self._find(
                "gap",
                f"folder {self.folder} has no frame between {a.path.name} and"
                f" {b.path.name}{more}: complete it, or what is there is followed as if"
                " nothing were missing",
                b.path.name,
            )


def _holds_image(path: Path) -> bool:
    """Whether a file begins as images do, whatever its name says."""
    if path.suffix.lower() in MOVIE_SUFFIXES:
        return False
    try:
        with open(path, "rb") as file:
            return file.read(8).startswith(IMAGE_STARTS)
    except OSError:
        return False


def _is(question: Callable[[], bool]) -> bool:
    """The answer about an entry; no where it is a link in a circle."""
    try:
        return question()
    except OSError:
        return False
