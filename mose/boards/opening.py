"""Opens a data set as its board has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mose.boards.board import Board
from mose.dataset import Dataset, open_dataset
from stseg.files import digest


def open_board_dataset(
    board: Board,
    root: str | Path,
    scratch: Path,
    split: str | None = None,
    annotations: str | Path | Sequence[str | Path] | None = None,
    **folders: str | Path | None,
) -> Dataset:
    """`open_dataset`; what is not in folders of PNGs is first laid out so, in a folder of
    ``scratch`` that has its name from the root."""
    root = Path(root)
    if board.lay_out is not None:
        target = scratch / f"{board.name}-{digest(str(root.resolve()))[:6]}"
        board.lay_out(root, target)
        root = target
    return open_dataset(root, split, annotations=annotations, **folders)
