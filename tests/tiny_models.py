"""How the contract's tests get a model of every adapter: arguments for `adapters.load`.

An adapter that needs weights registers a maker of a tiny checkpoint in `make_weights`; it is
then held to the same contract as all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tiny_cutie
import tiny_sam2
import tiny_tmo
import tiny_transformers
import tiny_xmem

import adapters
from adapters.listing import describe_all
from mose import Video
from mose.masks import write_mask

Maker = Callable[[Path, Iterable[Video]], dict[str, Any]]


def held_masks(folder: Path, videos: Iterable[Video]) -> dict[str, Any]:
    """Masks on disk for every video: the given ones, held."""
    for video in videos:
        (folder / video.name).mkdir(parents=True)
        for frame in adapters.load("hold").segment(video):
            ids = frame.labels(video.height, video.width)
            write_mask(folder / video.name / f"{video.frame_names[frame.index]}.png", ids)
    return {"path": str(folder)}


make_weights: dict[str, Maker] = {
    "folder": held_masks,
    "cutie": tiny_cutie.make_cutie,
    "livos": tiny_cutie.make_livos,
    "xmem": tiny_xmem.make_xmem,
    "tmo": tiny_tmo.make_tmo,
    "sam2": tiny_sam2.make_sam2,
    "transformers": tiny_transformers.make_sam3,
}
"""Adapter -> maker. A maker writes what the adapter needs into an empty folder, for the
videos that it will see, and returns the keywords of `adapters.load`: ``{"weights": path,
**options}``. Small enough that every frame takes milliseconds."""


def names() -> list[str]:
    """The adapters that the contract's tests can run: all that need nothing, or can be made."""
    return [a.name for a in describe_all() if not a.needs_weights or a.name in make_weights]


def load(name: str, folder: Path, videos: Iterable[Video], **options: Any) -> adapters.Segmenter:
    """A tiny model of an adapter, made in ``folder``."""
    made = make_weights[name](folder, videos) if name in make_weights else {}
    return adapters.load(name, **(made | options))


def texture(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth noise, ``uint8``: what has something to follow."""
    noise = np.random.default_rng(seed).integers(0, 255, shape, dtype=np.int64)
    return ((noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)) // 3).astype(np.uint8)
