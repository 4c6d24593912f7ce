"""A board as a value: how its data lie, what its server takes, and which scores it reports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mose.dataset import Dataset
from mose.meta import VideoMeta, read_meta
from stseg.errors import InputError


class MaskForm(Enum):
    """How the masks of a video lie."""

    IDS = "<video>/<frame>.png, the values are object ids"
    PER_OBJECT = "<video>/<object>/<frame>.png, one binary mask per object"
    REGIONS = "baseline/<video>/<video>_<object>_001.bin, the regions of an object"


Wanted = Callable[[Dataset, str], Collection[str] | None]
"""Names of the frames of a video whose masks the server takes; None: of all."""

CODALAB_LIMIT = 300 * 10**6
"""Bytes. What a competition on CodaLab takes unless its organisers asked for more
(codalab/codalab-competitions, issue 3394)."""


def every_frame(dataset: Dataset, video: str) -> None:
    """The server takes a mask for every frame."""


@dataclass(frozen=True)
class Board:
    """The rules of one board.

    name        is what ``--board`` takes
    summary     says in one line what it is, for ``--help``
    protocol    names its scores, one of `selection.metrics.PROTOCOLS`
    server      is what messages call the software that takes the masks
    shown_by    gives what in a root folder shows that it is a data set of this board, or None
    form        says how masks lie, in the data set's labels and in the zip
    prefix      is the folder of the zip that holds the videos, with a slash at its end
    lay_out     makes folders of frames and given masks in the second folder, of a data set in the
                first one whose masks are no PNGs; None: they are
    needs       names the file without which the scores of the server cannot be had
    wanted      tells of which frames the server takes masks
    least       is the number of videos below which the server takes the folder for a wrapping one
    size_limit  is the number of bytes of the largest zip that the server takes, where it is known
    """

    name: str
    summary: str
    protocol: str
    server: str
    shown_by: Callable[[Path], str | None]
    form: MaskForm = MaskForm.IDS
    prefix: str = ""
    lay_out: Callable[[Path, Path], None] | None = None
    needs: str | None = None
    wanted: Wanted = every_frame
    least: int = 1
    size_limit: int | None = None


def meta_with(paths: Iterable[Path], says: Callable[[VideoMeta], object]) -> str | None:
    """The name of the first of these meta files of whose first video ``says`` finds what only a
    board's file has."""
    for path in paths:
        try:
            videos = list(read_meta(path).values())
        except InputError:
            continue
        if videos and says(videos[0]):
            return path.name
    return None


def nothing_shows(root: Path) -> None:
    """Data sets of several boards lie in this way."""
