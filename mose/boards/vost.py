"""VOST: names like ``frame00012.png``, void pixels, lists at the top of ``ImageSets``.

Source: evaluation/source/dataset.py of TRI-ML/VOST.
"""

from __future__ import annotations

from pathlib import Path

from mose.boards.board import Board


def shown_by(root: Path) -> str | None:
    """The folder of frames at ten a second, which no other board has."""
    return "JPEGImages_10fps" if (root / "JPEGImages_10fps").is_dir() else None


BOARD = Board(
    name="vost",
    summary="VOST",
    protocol="vost",
    server="the VOST evaluator",
    shown_by=shown_by,
)
