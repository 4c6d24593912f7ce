"""Lists of videos, as people and other data sets write them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mose.readers.folder import MOVIE_SUFFIXES
from stseg.text import read_text

FILE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""What ends the path of a frame or a mask in a list."""

UNSEEN = "\ufeff\u200b\u200c\u200d\u2060\0"
"""Characters without width, which copying from a page or a document leaves at the ends of lines."""


def read_lines(path: str | Path, what: str = "list") -> list[str]:
    """The lines of a list, without blanks around them; blank lines and comments are left out.

    A comment begins with ``#`` at the start of a line, or behind a blank.
    """
    return [text for line in _lines(path, what) if (text := without_comment(line))]


def _lines(path: str | Path, what: str) -> list[str]:
    lines = (line.strip().strip(UNSEEN).strip() for line in read_text(path, what).splitlines())
    return [line for line in lines if line]


def without_comment(line: str) -> str:
    """What a line says before a comment; empty where it is one."""
    if line.startswith("#"):
        return ""
    return line.partition(" #")[0].partition("\t#")[0].strip()


def unquoted(text: str) -> str:
    """An entry without quotation marks around it and commas behind it."""
    text = text.rstrip(",;").strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


@dataclass(frozen=True)
class NameList:
    """A list of videos.

    path    the file
    lines   its lines, in order, with comments: a name may look like one
    """

    path: Path
    lines: tuple[str, ...]

    @property
    def entries(self) -> tuple[str, ...]:
        """The lines without comments, as far as they then say something."""
        return tuple(text for line in self.lines if (text := without_comment(line)))

    def matched(self, names: Collection[str]) -> Matched:
        """Which of ``names`` the list means, and which entries mean none of them."""
        known = {name: name for name in names}
        folded: dict[str, list[str]] = {}
        for name in names:
            folded.setdefault(_plain(name), []).append(name)
        meant: list[str] = []
        nowhere: list[str] = []
        otherwise: list[tuple[str, str]] = []
        named = (line if unquoted(line) in known else without_comment(line) for line in self.lines)
        for entry in (part for whole in named if whole for part in _several(whole, known)):
            readings = list(candidates(entry))
            exact = next((known[r] for r in readings if r in known), None)
            if exact is None:
                near = next((folded[f] for r in readings if (f := _plain(r)) in folded), [])
                if len(near) == 1:
                    exact = near[0]
                    otherwise.append((entry, exact))
            if exact is None:
                nowhere.append(entry)
            else:
                meant.append(exact)
        return Matched(tuple(dict.fromkeys(meant)), tuple(dict.fromkeys(nowhere)),
                       tuple(dict.fromkeys(otherwise)))  # fmt: skip


@dataclass(frozen=True)
class Matched:
    """What a list means among known names.

    names       the names, in the list's order
    nowhere     entries that mean none of them
    otherwise   entries that mean one written in other cases, and that name
    """

    names: tuple[str, ...]
    nowhere: tuple[str, ...] = ()
    otherwise: tuple[tuple[str, str], ...] = ()


def read_names(path: str | Path, what: str = "list of videos") -> NameList:
    """A list of videos; `InputError` where it cannot be read."""
    return NameList(Path(path), tuple(_lines(path, what)))


def candidates(entry: str) -> Iterable[str]:
    """The names that an entry may mean, the likeliest first.

    The entry itself; what its path leads to (``JPEGImages/bear``, ``bear/``, Windows'
    backslashes); the folder of a frame or mask (``bear/00000.jpg``), which is what DAVIS 2016's
    lists hold, in pairs; a table's first column.
    """
    text = unquoted(entry)
    seen: set[str] = set()
    for reading in (text, *_columns(text)):
        for name in _path_readings(reading):
            if name and name not in seen:
                seen.add(name)
                yield name


def _plain(name: str) -> str:
    """A name without what systems write in different ways: case, and how accents are composed."""
    return unicodedata.normalize("NFC", name).casefold()


def _several(entry: str, known: Collection[str]) -> list[str]:
    """The entries in a line that holds several, each of which means a known name."""
    text = unquoted(entry)
    if not any(reading in known for reading in _path_readings(text)):
        for separator in ("\t", ",", ";", None):
            parts = [unquoted(part.strip()) for part in text.split(separator)]
            if all(any(r in known for r in _path_readings(part)) for part in parts if part):
                return [part for part in parts if part]
    return [entry]


def _columns(text: str) -> Iterable[str]:
    for separator in ("\t", ",", ";", None):
        parts = text.split(separator)
        if len(parts) > 1:
            yield unquoted(parts[0].strip())


def _path_readings(text: str) -> Iterable[str]:
    yield text
    path = PurePosixPath(text.replace("\\", "/"))
    parts = [part for part in path.parts if part not in ("/", ".")]
    if parts and PurePosixPath(parts[-1]).suffix.lower() in FILE_SUFFIXES:
        parts = parts[:-1]
    # The longest first: BURST's and YouTube-VIS's names hold a slash.
    for start in range(len(parts)):
        yield "/".join(parts[start:])
    if parts and PurePosixPath(parts[-1]).suffix.lower() in MOVIE_SUFFIXES:
        yield PurePosixPath(parts[-1]).stem
