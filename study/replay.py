"""The evidence of a video under other fusion rules, or without some members, in one pass over
its stored predictions: what the study and the calibration work on. No model runs."""

from __future__ import annotations

from collections.abc import Sequence

from ensemble.finishing.scoring import Scorer, blank_evidence
from ensemble.finishing.video import as_written
from ensemble.fusion.frame_loop import FusionSetup, MemberFrames, VideoMembers, read_frames
from mose.labels import LabelMasks
from selection.evidence import Evidence
from selection.metrics import Regions

OWN = ("truth_j", "truth_f", "stability", "appearance")
"""Planes of a member that do not depend on the fusion."""


def evidence_of(
    members: VideoMembers,
    setups: Sequence[FusionSetup],
    labels: LabelMasks | None,
    contours: bool = True,
) -> list[Evidence]:
    """The evidence of a video for each of ``setups``, whose members are among ``members``.

    contours   whether agreement in F is measured too, which takes most of the time
    """
    video, names = members.video, members.names
    rows = [[names.index(name) for name in setup.members] for setup in setups]
    appearance = members.previews.appearance
    own = Scorer(blank_evidence(video, names, members.priors), appearance)
    scorers = [
        Scorer(blank_evidence(video, setup.members, members.priors[taking_part]), appearance)
        for setup, taking_part in zip(setups, rows, strict=True)
    ]
    for frame in read_frames(members):
        given = labels(frame.index) if labels else None
        truth = Regions(given) if given is not None else None
        counts = labels is not None and labels.counts(frame.index)
        own.add_candidates(frame.index, frame.scored, frame.regions)
        own.add_truth(frame.index, as_written(frame, frame.regions), truth, counts)
        for setup, scorer in zip(setups, scorers, strict=True):
            pseudo = score_setup(scorer, frame, setup, contours)
            shown = as_written(frame, [pseudo])
            scorer.add_truth(frame.index, shown, truth, counts, len(setup.members))
    for scorer in (own, *scorers):
        scorer.close_truth()
    for taking_part, scorer in zip(rows, scorers, strict=True):
        for plane in OWN:
            scorer.evidence[plane][:, :-1] = own.evidence[plane][:, taking_part]
    return [scorer.evidence for scorer in scorers]


def score_setup(scorer: Scorer, frame: MemberFrames, setup: FusionSetup, contours: bool) -> Regions:
    """Note of one frame what depends on the fusion, labels aside; returns the pseudo-label."""
    fused = frame.fuse(setup)
    pseudo = Regions(fused.ids)
    scorer.add_fusion(frame.index, frame.known, fused.frames, fused.fused)
    scorer.add_candidates(frame.index, frame.scored, [pseudo], len(setup.members))
    if frame.scored:
        scorer.add_agreement(frame.index, frame.scored, [*fused.regions, pseudo], pseudo, contours)
    return pseudo
