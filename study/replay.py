"""The evidence of a video under other fusion rules, or without some members, in one pass over
its stored predictions: what the study and the calibration work on. No model runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ensemble.finishing.scoring import Colours, Scorer, calibrated
from ensemble.finishing.video import Labels, with_given
from ensemble.fusion.frame import FusionOptions, Gathered
from ensemble.fusion.trust import Trust
from ensemble.storage.predictions import Prediction
from ensemble.storage.run_directory import RunDirectory
from mose import Video
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.metrics import Regions
from selection.models import Curve

OWN = ("truth_j", "truth_f", "stability", "appearance")
"""Planes of a member that do not depend on the fusion."""


@dataclass(frozen=True)
class Way:
    """A way to fuse.

    members   names of those that take part
    options   of the fusion
    """

    members: tuple[str, ...]
    options: FusionOptions


def evidence_of(
    run: RunDirectory,
    video: Video,
    priors: Mapping[str, float],
    curves: Mapping[str, Curve],
    ways: Sequence[Way],
    labels: Labels | None,
) -> list[Evidence]:
    """The evidence of ``video`` for each of ``ways``.

    priors   member -> expected J&F in (0, 1), for every member of any way
    curves   member -> curve from its confidence to its expected J; others' stay as they are
    """
    members = tuple(priors)
    with ExitStack() as stack:
        predictions = []
        for member in members:
            prediction = Prediction(run.prediction(member, video.name))
            stack.callback(prediction.close)
            predictions.append(prediction)
        return _one_pass(video, members, predictions, priors, curves, ways, labels)


def _one_pass(
    video: Video,
    members: tuple[str, ...],
    predictions: Sequence[Prediction],
    priors: Mapping[str, float],
    curves: Mapping[str, Curve],
    ways: Sequence[Way],
    labels: Labels | None,
) -> list[Evidence]:
    colours = Colours(video)
    own = Scorer(blank(video, members, priors), colours)
    scorers = [Scorer(blank(video, way.members, priors), colours) for way in ways]
    height, width = video.height, video.width
    trust = Trust(video, len(members))
    known: tuple[int, ...] = ()
    for index in range(len(video)):
        frames = {
            member: calibrated(prediction[index], curves.get(member))
            for member, prediction in zip(members, predictions, strict=True)
        }
        regions = {m: Regions(frame.labels(height, width)) for m, frame in frames.items()}
        scored = known
        known = tuple(sorted({*known, *video.prompts.ids(index)}))
        given = labels(index) if labels else None
        truth = Regions(given) if given is not None else None
        trust.look(index, list(regions.values()))
        own.look(index, scored, list(regions.values()), truth)
        gathered: dict[tuple[str, ...], Gathered] = {}
        for way, scorer in zip(ways, scorers, strict=True):
            if way.members not in gathered:
                taking_part = [frames[member] for member in way.members]
                masks = [regions[member] for member in way.members]
                said = np.asarray([priors[member] for member in way.members])
                rows = [members.index(member) for member in way.members]
                believed = trust.table(known)[rows]
                gathered[way.members] = Gathered(taking_part, masks, said, known, believed)
            fused = gathered[way.members].fuse(way.options)
            pseudo = Regions(with_given(fused.ids, video, index))
            scorer.say(index, known, gathered[way.members].frames, fused)
            scorer.look(index, scored, [pseudo], truth, first_row=len(way.members))
            if scored:
                candidates = [*(regions[member] for member in way.members), pseudo]
                scorer.agree(index, scored, candidates, pseudo)
    for way, scorer in zip(ways, scorers, strict=True):
        rows = [members.index(member) for member in way.members]
        for plane in OWN:
            scorer.evidence[plane][:, :-1] = own.evidence[plane][:, rows]
    return [scorer.evidence for scorer in scorers]


def blank(video: Video, members: tuple[str, ...], priors: Mapping[str, float]) -> Evidence:
    """Evidence to be filled; the pseudo-label's prior is the best member's."""
    known = [priors[member] for member in members]
    return Evidence.blank(
        video.name,
        (*members, PSEUDO_LABEL),
        np.asarray([*known, max(known)]),
        video.object_ids,
        video.frame_names,
    )
