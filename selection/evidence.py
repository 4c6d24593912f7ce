"""The evidence of one video: every candidate's scores, frame by frame and per object.

It is made while the video is finished and stored beside the selection. Selectors, the study and the
report need nothing else, so nothing has to run again to choose differently.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from stseg.files import open_atomic

PSEUDO_LABEL = "pseudo-label"
"""Name of the fused masks among the candidates; always the last one."""

PLANES = (
    "agreement_j",
    "agreement_f",
    "area",
    "confidence",
    "presence",
    "weight",
    "support",
    "truth_j",
    "truth_f",
    "stability",
    "appearance",
    "exchanged",
    "mistaken",
)
"""Per-frame arrays ``(T, C, N)``, NaN where there is nothing to say (before an object is given,
on the frame on which it is given, for the pseudo-label's confidence, without labels):

agreement_j, agreement_f   J and boundary F against the pseudo-label, in [0, 1]
area                       pixels of the mask
confidence, presence       the member's own, in [0, 1]
weight                     the member's say in the fusion
support                    mean IoU with the members' masks, weighted as in the fusion, in [0, 1];
                           of a member with the other members' masks
truth_j, truth_f           J and boundary F against the labels
stability                  IoU of the mask with the same candidate's on the frame before
appearance                 how far the mask looks like the object as it was given, on some frames,
                           in [0, 1], see `selection.appearance`
exchanged                  id of the object in whose place of the frame before the mask is; 0: none
mistaken                   id of the object that the pseudo-label has where the mask is; 0: none
"""

EXTRAS = ("overlap", "true_area", "cycle", "absent")
"""Arrays of other shapes."""


@dataclass
class Evidence:
    """Scores of one video.

    video        its name
    candidates   the members that gave a prediction, in the run's order, then the pseudo-label
    priors       ``(C,)`` expected J&F in (0, 1); the pseudo-label's is the best member's
    object_ids   N ids, ascending
    frames       file stems of the T frames
    disputed     ``(T,)`` share of pixels in the joint box on which members differ
    planes       name -> ``(T, C, N) float32``, see `PLANES`
    overlap      ``(T, M, M) float32`` IoU of the members with each other, mean over objects;
                 NaN on frames without a known object
    true_area    ``(T, N) float32`` pixels of the object in the labels; NaN without
    absent       ``(T, N) float32`` 1 where enough members see nothing of the object for it to count
                 as absent, else 0; NaN before it is given
    cycle        ``(C, N) float32`` J&F, against the given masks, of a member's last masks
                 followed back to them; NaN where that was not run
    memo         keeps values computed from evidence that does not change any more
    """

    video: str
    candidates: tuple[str, ...]
    priors: np.ndarray
    object_ids: tuple[int, ...]
    frames: tuple[str, ...]
    disputed: np.ndarray
    planes: dict[str, np.ndarray] = field(default_factory=dict)
    overlap: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    true_area: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    cycle: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    absent: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    memo: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        frames, count = len(self.frames), len(self.candidates)
        shape = (frames, count, len(self.object_ids))
        for name in PLANES:
            self.planes.setdefault(name, np.full(shape, np.nan, np.float32))
        shapes = {
            "overlap": (frames, count - 1, count - 1),
            "true_area": (frames, len(self.object_ids)),
            "cycle": shape[1:],
            "absent": (frames, len(self.object_ids)),
        }
        for name, wanted in shapes.items():
            if not getattr(self, name).size:
                setattr(self, name, np.full(wanted, np.nan, np.float32))

    @classmethod
    def blank(
        cls,
        video: str,
        candidates: tuple[str, ...],
        priors: np.ndarray,
        object_ids: tuple[int, ...],
        frames: tuple[str, ...],
    ) -> Evidence:
        """All NaN, to be filled frame by frame."""
        disputed = np.zeros(len(frames), np.float32)
        return cls(video, candidates, priors, object_ids, frames, disputed)

    def __getitem__(self, plane: str) -> np.ndarray:
        return self.planes[plane]

    @property
    def members(self) -> tuple[str, ...]:
        """The candidates without the pseudo-label."""
        return self.candidates[:-1]

    def part(self, rows: Sequence[int]) -> Evidence:
        """What is known of the members in these ``rows`` and of the pseudo-label."""
        every = [*rows, len(self.members)]
        return replace(
            self,
            candidates=tuple(self.candidates[row] for row in every),
            priors=self.priors[every],
            planes={name: plane[:, every] for name, plane in self.planes.items()},
            overlap=self.overlap[:, rows][:, :, rows],
            cycle=self.cycle[every],
            memo={},
        )

    @property
    def labelled(self) -> bool:
        """Whether there are scores against labels."""
        return not np.isnan(self["truth_j"]).all()

    def agreement(self) -> np.ndarray:
        """``(C, N)`` mean J&F against the pseudo-label; NaN where no frame was scored."""
        return mean_jf(self["agreement_j"], self["agreement_f"])

    def truth(self) -> np.ndarray:
        """``(C, N)`` mean J&F against the labels; NaN where no frame was scored.

        As DAVIS and MOSE score: the last frame is left out, like the first.
        """
        return mean_jf(self["truth_j"][:-1], self["truth_f"][:-1])

    def worth(self) -> np.ndarray:
        """``(C, N)`` `truth` of the masks that are written when a candidate is selected."""
        return mean_over_frames(self.worth_by_frame())

    def worth_by_frame(self) -> np.ndarray:
        """``(T, C, N) float64`` J&F of the masks that are written when a candidate is selected, NaN
        where nothing is scored. Where the object counts as absent they are empty, which is right
        if the labels have no object either."""
        both = (self["truth_j"].astype(np.float64) + self["truth_f"]) / 2
        both[-1:] = np.nan
        gone = (self.absent == 1)[:, None] & ~np.isnan(both)
        right = np.broadcast_to((self.true_area == 0)[:, None], both.shape)
        return np.where(gone, right, both)

    def save(self, path: str | Path) -> None:
        """Write as ``.npz`` (no pickles), atomically."""
        head = {
            "video": self.video,
            "candidates": self.candidates,
            "priors": [float(p) for p in self.priors],
            "object_ids": self.object_ids,
            "frames": self.frames,
        }
        arrays: dict[str, Any] = {**self.planes, "disputed": self.disputed}
        arrays |= {name: getattr(self, name) for name in EXTRAS}
        with open_atomic(path) as file:
            np.savez_compressed(file, head=np.array(json.dumps(head)), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Evidence:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            head = json.loads(str(stored["head"]))
            return cls(
                head["video"],
                tuple(head["candidates"]),
                np.asarray(head["priors"]),
                tuple(head["object_ids"]),
                tuple(head["frames"]),
                stored["disputed"],
                {name: stored[name] for name in PLANES if name in stored},
                **{name: stored[name] for name in EXTRAS if name in stored},
            )


def mean_jf(j: np.ndarray, f: np.ndarray) -> np.ndarray:
    """``(T, C, N)`` J and F -> ``(C, N)`` mean of both over the scored frames, NaN if none."""
    return mean_over_frames((j + f) / 2)


def mean_over_frames(scores: np.ndarray) -> np.ndarray:
    """``(T, C, N)`` -> ``(C, N)``; NaN where no frame is scored."""
    known = ~np.isnan(scores)
    count = known.sum(axis=0)
    total = np.where(known, scores, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mean_over_objects(scores: np.ndarray) -> np.ndarray:
    """``(C, N)`` -> ``(C,)`` mean over the scored objects; NaN where there is none."""
    scored = ~np.isnan(scores)
    count = scored.sum(axis=1)
    total = np.where(scored, scores, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
