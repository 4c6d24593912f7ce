"""Small runs of two members that need no network, for tests of the pipeline."""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from mose.masks import write_mask

MEMBERS = [
    {"name": "flow", "adapter": "flow", "prior": 40},
    {"name": "hold", "adapter": "hold", "prior": 25},
]
HEIGHT, WIDTH = 48, 64


def make_video(root: Path, name: str, frames: int = 5, late: bool = False) -> None:
    """A square on a gradient that moves to the right, and its labels."""
    rng = np.random.default_rng(len(name))
    texture = rng.integers(0, 255, (HEIGHT, 4 * WIDTH, 3), dtype=np.uint8)
    for kind in ("JPEGImages", "Annotations", "Labels"):
        (root / kind / name).mkdir(parents=True, exist_ok=True)
    for index in range(frames):
        image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        left = 8 + 3 * index
        ids[10:26, left : left + 16] = 3
        if late and index >= 2:
            ids[30:40, 4:20] = 9
        image[ids > 0] = texture[:, :WIDTH][ids > 0]
        Image.fromarray(image).save(root / "JPEGImages" / name / f"{index:05d}.jpg")
        write_mask(root / "Labels" / name / f"{index:05d}.png", ids)
        if index == 0:
            write_mask(root / "Annotations" / name / "00000.png", ids)
        if late and index == 2:
            given = np.where(ids == 9, ids, 0).astype(np.uint8)
            write_mask(root / "Annotations" / name / "00002.png", given)


def arguments(data, config, output, *more):
    return [
        *("--dataset", str(data), "--split", "test", "--config", str(config)),
        *("--output", str(output), "--executor", "inline", *map(str, more)),
    ]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".png", ".zip")
    }
