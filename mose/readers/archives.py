"""Folders and zips of files, read in place under the names that unpacking would give them."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stseg.errors import InputError
from stseg.files import stand_in

MAX_MASK_BYTES = 64 << 20
"""No mask is larger than this; an entry that claims to be is not unpacked."""
MAX_LINKS = 16
"""Links from link to link that are followed in a zip."""
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass
class Archive:
    """The entries of a zip by the names under which ``unzip`` lays them out.

    entries      relative name -> the entry; of several with one name the last, as ``unzip`` has it
    duplicates   names that are there twice
    unusual      an entry that is not written like ``<video>/00000.png``, though it means that
    """

    path: Path
    entries: dict[str, zipfile.ZipInfo] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    unusual: str | None = None

    def __post_init__(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            why = _stand_in(self.path) or error
            raise InputError(
                f"{self.path} is not a whole zip ({why}): give a folder or a zip of masks"
            ) from None
        links: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            name = self._laid_out(entry.filename)
            if not name or entry.filename.endswith(("/", "\\")):
                continue
            if stat.S_ISLNK(entry.external_attr >> 16):
                links[name] = entry
                continue
            if name in self.entries:
                self.duplicates.append(name)
            self.entries[name] = entry
        for name, entry in links.items():
            self._follow(name, entry, links)

    def _laid_out(self, name: str) -> str:
        plain = name.replace("\\", "/")
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        if plain.startswith("/") or _DRIVE.match(plain) or ".." in parts:
            raise InputError(
                f"zip {self.path} holds the name '{name}', which is absolute or leads outside:"
                " pack it again with names like <video>/00000.png"
            )
        clean = "/".join(parts)
        if clean != name.rstrip("/"):
            self.unusual = self.unusual or name
        return clean

    def _follow(self, name: str, entry: zipfile.ZipInfo, links: dict[str, zipfile.ZipInfo]) -> None:
        """Put what a link leads to under its name; links that lead outside are refused."""
        target = name
        for _ in range(MAX_LINKS):
            if target not in links:
                break
            text = self._read(links[target], target).decode("utf-8", "surrogateescape")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(target), text))
        if target.startswith(("/", "..")) or target in links:
            raise InputError(
                f"zip {self.path} holds the link '{name}', which leads outside or in a circle:"
                " pack the files themselves"
            )
        below = f"{target}/"
        here = {name + n[len(target) :]: e for n, e in self.entries.items() if n.startswith(below)}
        if target in self.entries:
            here[name] = self.entries[target]
        if not here:
            raise InputError(
                f"zip {self.path} holds the link '{name}' to '{target}', which is not in it: pack"
                " the files themselves"
            )
        self.entries.update(here)
        self.unusual = self.unusual or entry.filename

    def read(self, name: str) -> bytes:
        """The content of an entry. `InputError` if it is damaged or no mask's size."""
        return self._read(self.entries[name], name)

    def _read(self, entry: zipfile.ZipInfo, name: str) -> bytes:
        if entry.flag_bits & 1:
            raise InputError(f"{self.path} is encrypted: pack it without a password")
        if entry.file_size > MAX_MASK_BYTES:
            raise InputError(f"entry {name} of {self.path} is too large for a mask: remove it")
        try:
            return self._zip.read(entry)
        except Exception as error:  # damaged data makes the decompressors raise anything
            raise InputError(
                f"entry {name} of {self.path} is damaged ({error}): pack it again"
            ) from None


def _stand_in(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return stand_in(file.read(256))
    except OSError:
        return None


def walk(root: Path) -> Iterator[str]:
    """Relative names with ``/`` of all files below a folder; links are followed, circles not."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen and os.path.islink(folder):
            folders.clear()
            continue
        seen.add(real)
        below = Path(folder).relative_to(root)
        yield from ((below / name).as_posix() for name in files)
