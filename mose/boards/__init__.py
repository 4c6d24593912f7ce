"""Every board by its name. A new one is a module here with a `BOARD`, and one line below.

A third-party package adds a board through the entry-point group ``stseg.boards``::

    [project.entry-points."stseg.boards"]
    myboard = "mypackage.board:BOARD"
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from mose.boards import (
    davis,
    lvos,
    mose,
    mosev2,
    sav,
    sav_train,
    secvos,
    visor,
    vost,
    vots,
    ytvos,
)
from mose.boards.board import CODALAB_LIMIT, Board, MaskForm, every_frame, nothing_shows
from mose.layout import split_folders
from stseg.errors import InputError, unknown

ENTRY_POINT_GROUP = "stseg.boards"

BUILT_IN = (
    mose.BOARD,
    mosev2.BOARD,
    davis.BOARD,
    lvos.BOARD,
    sav.BOARD,
    sav_train.BOARD,
    secvos.BOARD,
    ytvos.BOARD,
    vost.BOARD,
    visor.BOARD,
    vots.BOARD,
)
"""In the order of the help."""


def boards() -> dict[str, Board]:
    """Name -> board; the built-in ones first, then those of other packages.

    `InputError` where an entry point does not lead to a board.
    """
    known = {board.name: board for board in BUILT_IN}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            board = entry.load()
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"board '{entry.name}' cannot be loaded from {entry.value} ({error}): mend or"
                " remove its package"
            ) from None
        if not isinstance(board, Board):
            raise InputError(f"board '{entry.name}': {entry.value} is not a Board")
        known.setdefault(board.name, board)
    return known


def board_named(name: str) -> Board:
    """The board of this name; raises `InputError` if there is none."""
    known = boards()
    if name not in known:
        raise unknown("board", name, known)
    return known[name]


def shown_board(root: str | Path) -> tuple[Board, str] | None:
    """The board that a data set's root shows plainly, and the file or folder that shows it.

    Looked for in the root and in the folders of its splits.
    """
    for board in boards().values():
        for place in _places(root):
            sign = board.shown_by(place)
            if sign is not None:
                return board, sign
    return None


def _places(root: str | Path) -> list[Path]:
    """The root and the folders of its splits."""
    return [Path(root), *(Path(root) / name for name in split_folders(root))]


def chosen_board(name: str | None, root: str | Path) -> tuple[Board, str]:
    """The board that was named, else the one that the root shows, else ``mose``; and a sentence
    that says so."""
    shown = shown_board(root)
    if name is not None:
        board = board_named(name)
        if board.needs and not any(map(board.shown_by, _places(root))):
            raise InputError(
                f"data set {root} has no {board.needs}, which {board.server} goes by: put the file"
                f" of the release there, or leave out --board {board.name}"
            )
        if shown is not None and shown[0].form is not board.form:
            raise InputError(
                f"data set {root} is no data set of board {board.name}: {shown[1]} shows that it"
                f" is of {shown[0].name}, name that board or another data set"
            )
        if shown is not None and shown[0] != board:
            return board, f"board {board.name}, though {shown[1]} is a sign of {shown[0].name}"
        return board, f"board {board.name}"
    if shown is None:
        return mose.BOARD, f"board {mose.BOARD.name}: nothing in the data set tells another one"
    board, sign = shown
    return board, f"board {board.name}, by {sign}; --board names another one"


__all__ = [
    "BUILT_IN",
    "CODALAB_LIMIT",
    "Board",
    "MaskForm",
    "board_named",
    "boards",
    "chosen_board",
    "every_frame",
    "nothing_shows",
    "shown_board",
]
