"""The one loop over a video's frames: reads every member's masks, and fuses them when asked.

Finishing a video, the study's replay and the comparison figure all go through it, so that the
same predictions give the same pseudo-label everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from adapters.base import FrameMasks
from ensemble.config import RunConfig, calibration_of, family, prior_of
from ensemble.fusion.frame import Fused, FusionOptions, Gathered
from ensemble.fusion.preview import Previews
from ensemble.storage.predictions import Prediction, StoredFrame
from mose import Video
from selection.metrics import Regions
from selection.models import Curve
from selection.quality import QualityTrack


@dataclass(frozen=True)
class VideoMembers:
    """The members that gave a prediction of a video, with what is known of them.

    video        is what they segmented
    names        are theirs, in the run's order; M of them
    predictions  are their stored masks, one per name
    priors       ``(M,) float64``, are their expected J&F in (0, 1)
    curves       turn their confidence into an expected J; a member without one stays as it is
    """

    video: Video
    names: tuple[str, ...]
    predictions: Sequence[Prediction]
    priors: np.ndarray
    curves: Mapping[str, Curve] = field(default_factory=dict)

    @classmethod
    def of_run(
        cls,
        config: RunConfig,
        video: Video,
        names: tuple[str, ...],
        predictions: Sequence[Prediction],
    ) -> VideoMembers:
        """With the priors and curves that a run's configuration gives them."""
        calibration = calibration_of(config)
        by_name = {member.name: member for member in config.members}
        priors = np.asarray([prior_of(by_name[name], calibration) for name in names])
        return cls(video, names, predictions, priors, calibration.curves if calibration else {})

    @cached_property
    def previews(self) -> Previews:
        """What a first look at some frames tells; made once."""
        return Previews(self.video, self.predictions, [family(name) for name in self.names])

    def wrong_together(self) -> dict[str, tuple[str, ...]]:
        """Member -> a sentence where its errors go together with those of others."""
        clusters = self.previews.of(range(len(self.names)), self.priors).clusters
        told: dict[str, tuple[str, ...]] = dict.fromkeys(self.names, ())
        if clusters is None:
            return told
        for row, name in enumerate(self.names):
            others = [m for k, m in enumerate(self.names) if clusters[row, k] and k != row]
            if others:
                told[name] = (f"one witness with {', '.join(others)}: related, or wrong together",)
        return told


@dataclass(frozen=True)
class FusionSetup:
    """A way to fuse.

    members   are the names of those that take part
    options   are those of the fusion
    """

    members: tuple[str, ...]
    options: FusionOptions


@dataclass(frozen=True)
class FusedMasks:
    """The pseudo-label of one frame under one setup.

    frames    are those of the members that took part
    regions   are their masks at the video's size
    fused     is what the rule gave
    ids       ``(height, width) uint8``, is the pseudo-label: with given masks verbatim
    """

    frames: Sequence[FrameMasks]
    regions: Sequence[Regions]
    fused: Fused
    ids: np.ndarray


@dataclass(frozen=True)
class MemberFrames:
    """What all members say of one frame of a video; `fuse` makes a pseudo-label of it.

    index     is the frame's, ``name`` its file stem
    known     are the ids of the objects given so far, ascending
    scored    are those of them that were given on earlier frames
    frames    are the members', with calibrated confidences
    regions   are their masks at the video's size
    tracks    are the qualities of each set of members that fuses, carried from frame to frame
    """

    members: VideoMembers
    index: int
    known: tuple[int, ...]
    scored: tuple[int, ...]
    frames: Sequence[StoredFrame]
    regions: Sequence[Regions]
    tracks: dict[tuple[str, ...], QualityTrack]
    _gathered: dict[tuple[str, ...], Gathered] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return self.members.video.frame_names[self.index]

    def fuse(self, setup: FusionSetup) -> FusedMasks:
        """The pseudo-label of the frame; what setups of the same members share is made once."""
        gathered = self.gather(setup.members)
        fused = gathered.fuse(setup.options)
        ids = with_given(fused.ids, self.members.video, self.index)
        return FusedMasks(gathered.frames, gathered.regions, fused, ids)

    def gather(self, names: tuple[str, ...]) -> Gathered:
        """What the members of these names say; it counts for their quality on later frames."""
        if names not in self._gathered:
            rows = [self.members.names.index(name) for name in names]
            priors = self.members.priors[rows]
            if names not in self.tracks:
                preview = self.members.previews.of(rows, priors)
                self.tracks[names] = QualityTrack(priors, preview)
            self._gathered[names] = Gathered(
                [self.frames[row] for row in rows],
                [self.regions[row] for row in rows],
                priors,
                self.known,
                self.tracks[names],
                self.scored,
            )
        return self._gathered[names]


def read_frames(members: VideoMembers) -> Iterator[MemberFrames]:
    """Every frame of a video in order, as its members' predictions have it.

    The members' quality on a frame counts for later ones, so gather or fuse each. Holds one frame
    at a time. Raises `CorruptPrediction` where a stored one does not read back.
    """
    video = members.video
    tracks: dict[tuple[str, ...], QualityTrack] = {}
    known: tuple[int, ...] = ()
    for index in range(len(video)):
        frames = [
            calibrated(prediction[index], members.curves.get(name))
            for name, prediction in zip(members.names, members.predictions, strict=True)
        ]
        regions = [Regions(frame.labels(video.height, video.width)) for frame in frames]
        scored, known = known, tuple(sorted({*known, *video.prompts.ids(index)}))
        yield MemberFrames(members, index, known, scored, frames, regions, tracks)


def calibrated(frame: StoredFrame, curve: Curve | None) -> StoredFrame:
    """The frame with its confidences on the scale of the expected J, where there is a curve."""
    if curve is None:
        return frame
    return dataclasses.replace(frame, confidence=curve(frame.confidence).astype(np.float32))


def with_given(ids: np.ndarray, video: Video, index: int) -> np.ndarray:
    """``ids`` with the masks that are given on this frame, if any, put verbatim over it.

    On the first frame with a mask, that mask is all there is. Of a corrected object the
    correction is all there is.
    """
    given = video.given(index)
    if given is None:
        return ids
    return given.mask if index == min(video.prompts) else given.painted(ids)
