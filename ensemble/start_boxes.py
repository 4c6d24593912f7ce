"""Boxes in place of a first mask: a member that can start from boxes makes the mask of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

import adapters
from adapters.registry import get
from ensemble.config import MemberConfig, RunConfig
from ensemble.job import find_weights
from mose.findings import Finding
from mose.masks import write_mask
from mose.single import frames_and_boxes
from stseg.errors import InputError
from stseg.files import digest, file_digest


def mask_of_boxes(config: RunConfig, runs: Path) -> tuple[Path, Finding]:
    """The mask of the first frame that the boxes of a configuration stand for, and what to say.

    The first member that can start from boxes makes it, on the CPU of this machine, and all
    members start from it; object ids are 1, 2, ... in the order of the boxes. It is kept in
    ``runs`` under a name that changes with the video, the boxes and the member. Raises
    `InputError`, which names the members, where none can.
    """
    data, members = config.data, config.members
    member = next((member for member in members if get(member.adapter).from_boxes), None)
    others = ", ".join(one.name for one in members if not get(one.adapter).from_boxes)
    if member is None:
        raise InputError(
            f"members {others} cannot start from a box: give the mask of the first frame with"
            " --mask, or a member that can (adapter sam2)"
        )
    frames, boxes = frames_and_boxes(data.dataset, data.boxes)
    total = hashlib.sha256()
    frames.fingerprint(total)
    weights = find_weights(member.weights, config.execution.fetch_weights)
    stored = weights and file_digest(weights)
    key = digest(total.hexdigest(), data.boxes, member.adapter, member.options, stored)
    path = runs / f"boxes-{key[:12]}.png"
    if not path.is_file():
        runs.mkdir(parents=True, exist_ok=True)
        write_mask(path, outlined(member, frames[0], boxes))
    sentence = f"member {member.name} made the first mask of the boxes: {path}"
    if others:
        sentence += f"; {others} cannot start from a box and start from that mask"
    return path, Finding("box", sentence)


def outlined(member: MemberConfig, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """``(H, W) uint8`` ids of the objects in boxes: where masks overlap, the larger logit."""
    segmenter = adapters.load(member.adapter, member.weights, "cpu", **member.options)
    try:
        logits = segmenter.outline(frame, boxes)
    except InputError as error:
        raise InputError(f"member {member.name} cannot start from a box: {error}") from None
    ids = np.where(logits.max(axis=0) > 0, logits.argmax(axis=0) + 1, 0).astype(np.uint8)
    lost = sorted(set(range(1, len(boxes) + 1)) - set(np.unique(ids).tolist()))
    if lost:
        said = ",".join(f"{value:g}" for value in boxes[lost[0] - 1])
        raise InputError(
            f"member {member.name} finds no object of its own in box {said}:"
            " draw it closer, or give a mask"
        )
    return ids
