"""Which files hold the given masks of a video, in any of the forms that data sets have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mose.findings import Finding
from mose.prompts import GivenMask
from mose.readers.folder import Listing, list_folder
from stseg.errors import InputError


@dataclass(frozen=True)
class GivenFiles:
    """The given masks of a video.

    masks   number of a frame -> the files that make up its mask, the uppermost last
    notes   is what is worth knowing of the folders
    """

    masks: dict[int, tuple[GivenMask, ...]]
    notes: tuple[Finding, ...] = ()


def given_files(places: Sequence[Path], video: str, numbers: Mapping[str, int]) -> GivenFiles:
    """The masks in some places, each a folder of masks, a folder of one folder per object, or one
    PNG, which is the mask of the first frame.

    video     is the name that findings give it
    numbers   name of a frame -> its number

    Decodes nothing. Raises `InputError` for whatever may be a mask and cannot be used; whether
    there is a frame for each number is left to the caller.
    """
    masks: dict[int, tuple[GivenMask, ...]] = {}
    notes: list[Finding] = []
    for place in places:
        if place.is_file():
            first = min(numbers.values())
            masks[first] = (*masks.get(first, ()), GivenMask(place))
            continue
        listing = list_folder(place, "mask", video, numbers)
        layers: dict[int | None, Listing] = {
            object_id: list_folder(folder, "mask", video, numbers)
            for object_id, folder in object_folders(listing).items()
        }
        for object_id, layer in (layers or {None: listing}).items():
            notes += layer.notes
            for number, path in layer.check().files:
                masks[number] = (*masks.get(number, ()), GivenMask(path, object_id))
    return GivenFiles(masks, tuple(notes))


def object_folders(listing: Listing) -> dict[int, Path]:
    """Object id -> the folder of its masks, where masks lie in one folder per object.

    Folders are named by object, from 0 (SA-V) or 1 on.
    """
    if listing.files or not listing.folders:
        return {}
    numbered = {name: int(name) for name in listing.folders if name.isascii() and name.isdigit()}
    if len(numbered) < len(listing.folders):
        odd = next(name for name in listing.folders if name not in numbered)
        raise InputError(
            f"folder {listing.folder} holds no masks but folders ({odd}): expected 00000.png in"
            " it, or a folder per object, named 1, 2, ..."
        )
    start = 1 if 0 in numbered.values() else 0
    paths = {number + start: listing.folder / name for name, number in numbered.items()}
    if len(paths) < len(numbered) or max(paths) > 254:
        raise InputError(
            f"folder {listing.folder} holds folders of objects {', '.join(listing.folders[:8])}:"
            " ids go from 1 to 254, each once; renumber them"
        )
    return dict(sorted(paths.items()))
