"""VISOR as visor_to_davis.py lays it out: names like ``P01_107_frame_0000012345.png``.

Source: epic-kitchens/VISOR-VOS. Its server takes polygons, which ``pngs_to_visor.py`` of
epic-kitchens/C6-SemiVOS makes of the folders of masks.
"""

from __future__ import annotations

from pathlib import Path

from mose.boards.board import Board


def shown_by(root: Path) -> str | None:
    """The file that gives names to the ids, or the lists of 2022."""
    mapping = sorted(root.glob("*_data_mapping.json"))
    if mapping:
        return mapping[0].name
    return "ImageSets/2022" if (root / "ImageSets" / "2022").is_dir() else None


BOARD = Board(
    name="visor",
    summary="VISOR, in the layout of DAVIS",
    protocol="visor",
    server="the VISOR evaluator",
    shown_by=shown_by,
)
