"""Masks that are drawn by hand: kept for ever by their content, and put where a run takes them."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ensemble.storage.run_directory import RunDirectory
from mose import Video
from mose.corrections import GONE
from mose.masks import read_mask, write_mask
from mose.palette import object_ids
from stseg.files import appearing, quick_digest, write_json
from study.edits import DrawnFrame, VideoState


def keep_mask(folder: Path, mask: np.ndarray) -> str:
    """Store a mask ``(H, W) uint8``; returns the name of its file, which tells its content."""
    name = f"{quick_digest(str(mask.shape), mask.tobytes().hex())}.png"
    if not (folder / name).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_mask(folder / name, mask)
    return name


def keep_corrections(folder: Path, video: Video) -> dict[str, DrawnFrame]:
    """The corrections that a video was opened with, as drawn ones."""
    kept = {}
    for index, correction in video.corrections.items():
        there = object_ids(correction.mask) if correction.mask is not None else ()
        mask = keep_mask(folder, correction.mask) if correction.mask is not None else None
        gone = tuple(i for i in correction.ids if i not in there)
        kept[video.frame_names[index]] = DrawnFrame(mask if there else None, correction.ids, gone)
    return kept


def merged(
    folder: Path, before: DrawnFrame | None, mask: np.ndarray, ids: Collection[int]
) -> DrawnFrame | None:
    """A frame's drawing with some objects drawn anew and the others as they were.

    mask   ``(H, W) uint8``, in which other objects than ``ids`` do not count; those of ``ids``
           without a pixel are gone
    ids    the objects that are drawn anew
    """
    out = np.where(np.isin(mask, list(ids)), mask, 0).astype(np.uint8)
    known = set(ids)
    if before is not None:
        known |= set(before.ids)
        if before.mask is not None:
            old = read_mask(folder / before.mask, binary=False)
            keep = (out == 0) & (old > 0) & ~np.isin(old, list(ids))
            out = np.where(keep, old, out).astype(np.uint8)
    there = object_ids(out)
    if not known:
        return None
    gone = tuple(sorted(known - set(there)))
    return DrawnFrame(keep_mask(folder, out) if there else None, tuple(sorted(known)), gone)


def without_objects(folder: Path, before: DrawnFrame, ids: Collection[int]) -> DrawnFrame | None:
    """A frame's drawing without some objects; None where nothing is left of it."""
    left = tuple(i for i in before.ids if i not in ids)
    if not left:
        return None
    gone = tuple(i for i in before.gone if i not in ids)
    if before.mask is None:
        return replace(before, ids=left, gone=gone)
    old = read_mask(folder / before.mask, binary=False)
    out = np.where(np.isin(old, list(ids)), 0, old).astype(np.uint8)
    return DrawnFrame(keep_mask(folder, out) if out.any() else None, left, gone)


def write_corrections(run: RunDirectory, video: str, state: VideoState) -> None:
    """Put what a state has drawn where ``--corrections`` finds it."""
    if not state.corrections:
        shutil.rmtree(run.corrections(video), ignore_errors=True)
        return
    with appearing(run.corrections(video)) as folder:
        fill_corrections(folder, run.drawn(video), state.corrections)


def fill_corrections(folder: Path, drawn: Path, corrections: Mapping[str, DrawnFrame]) -> None:
    """Masks and the list of who is gone, as `mose.corrections.read_corrections` reads them."""
    for frame, correction in corrections.items():
        if correction.mask is not None:
            shutil.copyfile(drawn / correction.mask, folder / f"{frame}.png")
    gone = {frame: list(c.gone) for frame, c in corrections.items() if c.gone}
    if gone:
        write_json(folder / GONE, gone)
