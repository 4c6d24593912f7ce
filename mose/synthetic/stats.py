"""What happens in clips: how often objects vanish, are hidden, how large they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mose.synthetic.clip import Frame
from stseg.tables import format_table

OCCLUDED = 0.3
"""An object counts as occluded while this share of what is inside the frame is covered."""


@dataclass(frozen=True, slots=True)
class ClipStats:
    """Counts over one clip.

    objects        ids that are ever seen
    disappearing   objects that are not seen in some frame after their first one
    returning      disappearing objects that are seen again afterwards
    occlusions     times that an object becomes covered by 30 % or more
    touching       objects that touch another labelled object in some frame
    area           mean share of the frame of an object while it is seen
    speed          mean movement of an object's middle from frame to frame, in shares of
                   the frame's size (the square root of its area)
    """

    frames: int
    objects: int
    disappearing: int
    returning: int
    occlusions: int
    touching: int
    area: float
    speed: float


def clip_stats(frames: Iterable[Frame]) -> ClipStats:
    """Count what happens in a clip, frame by frame."""
    visible, whole, middles = [], [], []
    touching: set[int] = set()
    size = 1
    for frame in frames:
        labels, size = frame.labels, frame.labels.size
        count = len(frame.whole)
        area = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
        visible.append(area)
        whole.append(frame.whole)
        middles.append([_middle(labels == k + 1) if area[k] else (np.nan, np.nan)
                        for k in range(count)])  # fmt: skip
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            border = (a != b) & (a > 0) & (b > 0)
            touching.update(np.unique(a[border]).tolist(), np.unique(b[border]).tolist())
    seen, full = np.array(visible), np.array(whole)
    ever = np.asarray((seen > 0).any(axis=0))
    gone, back = np.zeros(len(ever), bool), np.zeros(len(ever), bool)
    for k in np.flatnonzero(ever):
        present: np.ndarray = seen[:, k] > 0
        after = present[int(np.argmax(present)) :]
        gone[k] = not after.all()
        back[k] = bool((np.diff(after.astype(int)) > 0).any())
    covered = (full > 0) & (seen < (1 - OCCLUDED) * full)
    starts = covered[1:] & ~covered[:-1]
    steps = np.linalg.norm(np.diff(np.array(middles), axis=0), axis=2)
    return ClipStats(
        frames=len(seen),
        objects=int(ever.sum()),
        disappearing=int(gone.sum()),
        returning=int(back.sum()),
        occlusions=int(starts.sum() + covered[0].sum()),
        touching=len(touching),
        area=float(seen[seen > 0].mean() / size) if (seen > 0).any() else 0.0,
        speed=float(np.nanmean(steps) / np.sqrt(size)) if np.isfinite(steps).any() else 0.0,
    )


def _middle(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = mask.sum(1), mask.sum(0)
    total = rows.sum()
    return (
        float((rows * np.arange(len(rows))).sum() / total),
        float((columns * np.arange(len(columns))).sum() / total),
    )


def summary(clips: list[ClipStats]) -> dict[str, float]:
    """Shares and means over clips, by what they are called in `table`."""
    objects = max(1, sum(c.objects for c in clips))
    n = max(1, len(clips))
    return {
        "clips": len(clips),
        "frames per clip": sum(c.frames for c in clips) / n,
        "objects per clip": sum(c.objects for c in clips) / n,
        "share of clips with a disappearance": sum(c.disappearing > 0 for c in clips) / n,
        "share of clips with a return": sum(c.returning > 0 for c in clips) / n,
        "share of clips with an occlusion": sum(c.occlusions > 0 for c in clips) / n,
        "share of objects that disappear": sum(c.disappearing for c in clips) / objects,
        "occlusions per object": sum(c.occlusions for c in clips) / objects,
        "share of objects that touch another": sum(c.touching for c in clips) / objects,
        "mean object area (share of frame)": sum(c.area for c in clips) / n,
        "mean movement per frame (share of size)": sum(c.speed for c in clips) / n,
    }


def table(clips: list[ClipStats]) -> str:
    """`summary` as aligned lines."""
    heads, *rows = [(name, f"{value:.3f}") for name, value in summary(clips).items()]
    return format_table(heads, rows)
