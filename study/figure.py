"""STSeg's comparison figure of one frame: members, box average, maximum, pseudo-label.

    python -m selection.figure RUN VIDEO FRAME

Needs a run that kept its predictions (``--keep-soft``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stseg.cli import EXIT_OK, CommandParser, print_line
from stseg.errors import InputError

PANEL = 360
"""Longer side of a panel, in pixels."""
TITLE, GAP = 20, 6


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, draw, write; returns the exit code."""
    p = CommandParser("selection.figure", __doc__
    )  # fmt: skip
    p.add_argument("run", help="the run folder")
    p.add_argument("video", help="name of the video")
    p.add_argument("frame", help="name or number of the frame")
    p.add_argument("--rules", nargs="+", default=[], metavar="RULE", help="more fusions to show")
    p.add_argument("--panel", type=int, default=PANEL, help="longer side of a panel (%(default)s)")
    p.add_argument("--output", help="PNG to write (default: RUN/figures/VIDEO-FRAME.png)")
    a = p.parse_args(argv)
    if a.panel < 32:
        raise InputError(f"--panel is {a.panel}: give at least 32 pixels")
    from ensemble.fusion.rules import RULES
    from stseg.config import one_of
    from study.layers import figure_layers

    for rule in a.rules:
        one_of("--rules", rule, RULES)
    frame, layers = figure_layers(a.run, a.video, a.frame, tuple(a.rules))
    path = Path(a.output or Path(a.run) / "figures" / f"{a.video}-{a.frame}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(frame, layers, a.panel)).save(path)
    print_line(str(path))
    return EXIT_OK


def draw(frame: np.ndarray, layers: Mapping[str, np.ndarray], panel: int = PANEL) -> np.ndarray:
    """``(h, w, 3) uint8``: the frame, then one panel per layer, row by row, with its title.

    frame    ``(H, W, 3) uint8``
    layers   title -> ``(H, W) uint8`` ids
    """
    from selection.export.overlay import blend

    height, width = frame.shape[:2]
    scale = panel / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    panels = [("frame", small)]
    for title, ids in layers.items():
        panels.append((title, blend(small, cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST))))
    columns = int(np.ceil(np.sqrt(len(panels))))
    rows = -(-len(panels) // columns)
    across, down = size[0] + GAP, size[1] + TITLE + GAP
    picture = Image.new("RGB", (columns * across + GAP, rows * down + GAP), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for n, (title, image) in enumerate(panels):
        x, y = GAP + n % columns * across, GAP + n // columns * down
        pen.text((x, y), title, fill="black", font=font)
        picture.paste(Image.fromarray(image), (x, y + TITLE))
    return np.asarray(picture)
