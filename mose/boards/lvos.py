"""LVOS v1 and v2: names of eight digits, ranges of objects in ``valid_meta.json``.

Source: evaluation_codalab.py and lvos/lvos_seperate.py of LingyiHongfd/lvos-evaluation. The server
looks for the videos in a folder ``Annotations`` of the zip, and takes a single one for a folder
that wraps them.
"""

from __future__ import annotations

from pathlib import Path

from mose.boards.board import CODALAB_LIMIT, Board, meta_with


def shown_by(root: Path) -> str | None:
    """A meta file whose objects have a range of frames."""
    files = sorted(root.glob("*_meta.json"))
    return meta_with(files, lambda meta: any(track.span for track in meta.tracks.values()))


BOARD = Board(
    name="lvos",
    summary="LVOS v1 and v2",
    protocol="lvos",
    server="the LVOS server",
    shown_by=shown_by,
    prefix="Annotations/",
    needs="*_meta.json",
    least=2,
    size_limit=CODALAB_LIMIT,
)
