"""A contact sheet: training clips as the network sees them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from finetune.data.batches import BatchMaker, ClipBatch, to_bytes
from finetune.data.sources import open_clips
from finetune.recipe import TrainingRecipe
from finetune.trainable import trainable
from mose.masks import PALETTE
from stseg.files import write_bytes

SAMPLED_CLIPS = 6


def write_contact_sheet(recipe: TrainingRecipe, path: Path) -> None:
    """A PNG with a row per clip: its frames with the outlines of its objects.

    The clips are the first ones that the recipe trains on.
    """
    pictures = trainable(recipe.network).pictures
    make = BatchMaker(
        open_clips(recipe.data),
        recipe.augment,
        recipe.data.objects,
        SAMPLED_CLIPS,
        recipe.seed,
        pictures,
    )
    sheet = draw_contact_sheet(make(0))
    path.parent.mkdir(parents=True, exist_ok=True)
    _, content = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_bytes(path, content.tobytes())


def draw_contact_sheet(clips: ClipBatch) -> np.ndarray:
    """``(B * H, T * W, 3) uint8``; with pictures of the flow, a row of them below each clip."""
    rows = []
    for index, frames in enumerate(clips.frames):
        row = []
        for frame, planes in zip(to_bytes(frames), clips.masks[index].numpy(), strict=True):
            drawn = np.ascontiguousarray(frame)
            for position, plane in enumerate(planes.astype(np.uint8)):
                outlines, _ = cv2.findContours(plane, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                colour = PALETTE[3 * (position + 1) : 3 * (position + 1) + 3]
                cv2.drawContours(drawn, outlines, -1, tuple(colour), 1)
            row.append(drawn)
        rows.append(np.concatenate(row, axis=1))
        if clips.pictures is not None:
            rows.append(np.concatenate(list(to_bytes(clips.pictures[index])), axis=1))
    return np.concatenate(rows, axis=0)
