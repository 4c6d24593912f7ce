"""MOSE v1: a palette PNG for every frame, the folders of the videos at the root of the zip."""

from mose.boards.board import CODALAB_LIMIT, Board, nothing_shows

BOARD = Board(
    name="mose",
    summary="MOSE v1; where nothing tells otherwise",
    protocol="davis",
    server="the MOSE server",
    shown_by=nothing_shows,
    size_limit=CODALAB_LIMIT,
)
