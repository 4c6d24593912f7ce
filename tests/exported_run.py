"""A finished run with two small videos, for exports and what reads them back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from selection_records import record_of, write_record

from mose.masks import write_mask
from selection.evidence import Evidence

FRAMES, HEIGHT, WIDTH = 4, 33, 47
NAMES = ("a video", "b")


def write_run(tmp_path: Path) -> Path:
    """Two videos with objects 3 and 200; 200 is gone from the second frame on."""
    root, images = tmp_path / "run", tmp_path / "images"
    (root / "selection" / "timelines").mkdir(parents=True)
    stems = tuple(f"{t:05d}" for t in range(FRAMES))
    for name in NAMES:
        for folder in (root / "masks", root / "pseudo-labels", images):
            (folder / name).mkdir(parents=True)
        for index, stem in enumerate(stems):
            ids = np.zeros((HEIGHT, WIDTH), np.uint8)
            ids[5:15, 4 + index : 20 + index] = 3
            if index < 2:
                ids[20:30, 30:40] = 200
            write_mask(root / "masks" / name / f"{stem}.png", ids)
            ids[5] = 0
            write_mask(root / "pseudo-labels" / name / f"{stem}.png", ids)
            Image.new("RGB", (WIDTH, HEIGHT), (20, 20, 20)).save(images / name / f"{stem}.png")
        evidence = Evidence.blank(
            name, ("m", "n", "pseudo-label"), np.full(3, 0.5), (3, 200), stems
        )
        for plane in ("agreement_j", "agreement_f"):
            evidence[plane][1:, :, 0] = np.array([0.8, 0.4, 1.0])
            evidence[plane][1:, :, 1] = 0.1
        evidence["weight"][:, :2] = np.array([3.0, 1.0])[None, :, None]
        evidence.save(root / "selection" / "timelines" / f"{name}.npz")
        write_record(root, record_of(name, (3, 200), FRAMES))
    (root / "environment.json").write_text(json.dumps({"images": str(images)}))
    return root
