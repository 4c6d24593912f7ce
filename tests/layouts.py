"""Small videos on disk, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mose.masks import write_mask

SIZE = (24, 32)


def blocks(*ids: int, size: tuple[int, int] = SIZE, shift: int = 0) -> np.ndarray:
    """An id mask with one block per id, side by side, moved to the right by ``shift``."""
    mask = np.zeros(size, dtype=np.uint8)
    width = size[1] // (len(ids) + 1)
    for place, object_id in enumerate(ids):
        left = place * width + 1 + shift
        mask[size[0] // 4 : -size[0] // 4, left : left + width - 2] = object_id
    return mask


def write_frames(folder: Path, names: Sequence[str], size: tuple[int, int] = SIZE) -> None:
    """JPEG frames of noise, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.jpg")


def write_masks(folder: Path, masks: Mapping[str, np.ndarray]) -> None:
    """Palette PNGs by frame name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, mask in masks.items():
        write_mask(folder / f"{name}.png", mask)


def write_video(
    root: Path,
    name: str,
    frames: Sequence[str] = ("00000", "00001", "00002"),
    masks: Mapping[str, np.ndarray] | None = None,
    inner: str = "",
) -> None:
    """``root/JPEGImages/<inner>/<name>`` and ``root/Annotations/<inner>/<name>``.

    Without ``masks`` the first frame gets objects 1 and 5.
    """
    write_frames(root / "JPEGImages" / inner / name, frames)
    given = {frames[0]: blocks(1, 5)} if masks is None else masks
    write_masks(root / "Annotations" / inner / name, given)
