"""SeCVOS: videos of several scenes, a binary mask per object.

Source: vos_evaluation of OpenIXCLab/SeC, whose evaluator is SA-V's. It also gives scores of the
first, the second and the later scenes alone, by ``scene_info.json``.
"""

from __future__ import annotations

from pathlib import Path

from mose.boards.board import Board, MaskForm


def shown_by(root: Path) -> str | None:
    """The file of the scenes."""
    return "scene_info.json" if (root / "scene_info.json").is_file() else None


BOARD = Board(
    name="secvos",
    summary="SeCVOS",
    protocol="sav",
    server="the SeCVOS evaluator",
    shown_by=shown_by,
    form=MaskForm.PER_OBJECT,
)
