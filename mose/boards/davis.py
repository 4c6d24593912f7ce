"""DAVIS 2016 and 2017: lists in ``ImageSets``, folders by resolution."""

from __future__ import annotations

from pathlib import Path

from mose.boards.board import CODALAB_LIMIT, Board


def shown_by(root: Path) -> str | None:
    """A list of DAVIS 2016 or 2017."""
    lists = (root / "ImageSets" / year for year in ("2017", "2016"))
    return next((f"ImageSets/{path.name}" for path in lists if path.is_dir()), None)


BOARD = Board(
    name="davis",
    summary="DAVIS 2016 and 2017",
    protocol="davis",
    server="the DAVIS server",
    shown_by=shown_by,
    size_limit=CODALAB_LIMIT,
)
