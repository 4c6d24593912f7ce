"""What the members say of a video, reduced to numbers, in which `disputes` are searched for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble.fusion.frame_loop import MemberFrames
from mose import Video
from stseg.files import open_atomic


@dataclass(frozen=True)
class Survey:
    """Every member's masks on every frame, measured against each other.

    members     are M names, in the run's order
    object_ids  are N ids, ascending
    priors      ``(M,)`` expected J&F of the members in (0, 1)
    areas       ``(T, M, N) float32`` pixels; NaN until the frame after the object is given
    quality     ``(T, M, N) float32`` expected J, see `selection.quality`; NaN as in ``areas``
    overlaps    ``(T, N, M, M) float32`` IoU of the members' masks, 1 where both are empty
    fixed       ``(T, N) bool``: frames on which the object's mask is given or corrected
    """

    members: tuple[str, ...]
    object_ids: tuple[int, ...]
    priors: np.ndarray
    areas: np.ndarray
    quality: np.ndarray
    overlaps: np.ndarray
    fixed: np.ndarray

    @classmethod
    def blank(cls, video: Video, members: tuple[str, ...], priors: np.ndarray) -> Survey:
        """Nothing is measured yet."""
        frames, count, objects = len(video), len(members), len(video.object_ids)
        areas, quality = np.full((2, frames, count, objects), np.nan, np.float32)
        overlaps = np.ones((frames, objects, count, count), np.float32)
        fixed = np.zeros((frames, objects), bool)
        for index in {*video.prompts, *video.corrections}:
            given = video.given(index)
            fixed[index] = given is not None and np.isin(
                video.object_ids, (*given.new, *given.corrected)
            )
        return cls(members, video.object_ids, priors, areas, quality, overlaps, fixed)

    def add(self, frame: MemberFrames) -> None:
        """Measure one frame."""
        if not frame.scored:
            return
        gathered = frame.gather(self.members)
        views = gathered.views if gathered.box is not None else None
        rows = [frame.known.index(object_id) for object_id in frame.scored]
        at = [self.object_ids.index(object_id) for object_id in frame.scored]
        self.areas[frame.index][:, at] = 0 if views is None else views.areas[:, rows]
        self.quality[frame.index][:, at] = frame.tracks[self.members].quality(frame.scored)
        if views is not None:
            self.overlaps[frame.index, at] = views.overlaps[rows]

    def save(self, path: Path) -> None:
        """Write as ``.npz`` without pickles, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as file:
            np.savez_compressed(
                file,
                members=np.array(self.members),
                object_ids=np.array(self.object_ids, np.uint8),
                priors=self.priors,
                areas=self.areas,
                quality=self.quality,
                overlaps=self.overlaps,
                fixed=self.fixed,
            )

    @classmethod
    def load(cls, path: Path) -> Survey:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(
                tuple(map(str, stored["members"])),
                tuple(map(int, stored["object_ids"])),
                *(stored[name] for name in ("priors", "areas", "quality", "overlaps", "fixed")),
            )
