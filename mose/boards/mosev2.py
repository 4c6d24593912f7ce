"""MOSEv2: as MOSE v1, with a meta file ``meta_valid.json`` that gives lengths and sizes."""

from __future__ import annotations

from pathlib import Path

from mose.boards.board import Board, meta_with


def shown_by(root: Path) -> str | None:
    """A meta file of a split whose entries have lengths and lists of objects."""
    files = sorted([*root.glob("meta_*.json"), *root.parent.glob("meta_*.json")])
    return meta_with(files, lambda meta: meta.length and meta.objects)


BOARD = Board(
    name="mosev2",
    summary="MOSEv2",
    protocol="mosev2",
    server="the MOSEv2 server",
    shown_by=shown_by,
)
