"""The selected masks as training data, without what is doubtful in them, and a weight for each.

::

    Annotations/<video>/00000.png   the selected masks, palette PNGs of object ids; 255 where a loss
                                    should not look
    JPEGImages                      a link to the frames of the data set
    weights.json                    video -> frame -> object id -> weight in [0, 1]
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from mose.masks import VOID, read_mask, write_mask
from selection.evidence import Evidence
from selection.export.source import RunMasks, VideoMasks
from selection.record import read_record
from selection.run_paths import RunPaths
from selection.spans import candidate_at

UNSURE = 0.5
"""Weight below which an object is ignored on a frame."""


def write_training(run: RunMasks, target: Path, unsure: float = UNSURE) -> int:
    """Write the layout above into ``target``, an empty folder; returns the number of masks.

    Pixels on which the selected masks and the pseudo-label differ are ignored, and so is an
    object's whole mask on frames on which its weight is below ``unsure``. What somebody drew or
    chose has weight 1, and none of it is ignored.
    """
    weights: dict[str, dict[str, dict[str, float]]] = {}
    count = 0
    for video in run.videos:
        decided = by_hand(RunPaths(run.root), video)
        trust = video_weights(run, video, decided)
        weights[video.name] = trust
        annotations = target / "Annotations" / video.name
        pseudo_labels = RunPaths(run.root).pseudo_labels(video.name)
        annotations.mkdir(parents=True)
        for stem, ids in zip(video.stems, video.masks(), strict=True):
            fused = read_mask(pseudo_labels / f"{stem}.png", binary=False)
            doubtful = [int(n) for n, weight in trust[stem].items() if weight < unsure]
            sure = [n for n, frames in decided.items() if stem in frames]
            differ = (ids != fused) & ~np.isin(ids, sure) & ~np.isin(fused, sure)
            left_out = differ | np.isin(ids, doubtful)
            write_mask(annotations / f"{stem}.png", np.where(left_out, VOID, ids))
            count += 1
    (target / "weights.json").write_text(json.dumps(weights, indent=1), encoding="utf-8")
    if run.images.is_dir():
        os.symlink(run.images, target / "JPEGImages", target_is_directory=True)
    return count


def by_hand(run: RunPaths, video: VideoMasks) -> dict[int, set[str]]:
    """Object id -> the frames on which somebody drew it, or chose other masks than the run."""
    record = read_record(run.record_path(video.name))
    decided: dict[int, set[str]] = {n: set() for n in record.objects}
    for frame, ids in record.provenance.corrections.items():
        for object_id in ids:
            decided[object_id].add(frame)
    if not record.overridden:
        return decided
    before = read_record(run.overridden_record(video.name)).plan
    for object_id, spans in record.plan.items():
        old = before[object_id]
        decided[object_id] |= {
            stem
            for index, stem in enumerate(video.stems)
            if candidate_at(spans, index) != candidate_at(old, index)
        }
    return decided


def video_weights(
    run: RunMasks, video: VideoMasks, decided: Mapping[int, Collection[str]]
) -> dict[str, dict[str, float]]:
    """Frame -> object id -> weight; 1 on the frames that are ``decided``."""
    evidence = Evidence.load(RunPaths(run.root).evidence_path(video.name))
    weights = frame_weights(evidence)
    return {
        stem: {
            str(object_id): 1.0 if stem in decided[object_id] else round(float(weight), 4)
            for object_id, weight in zip(evidence.object_ids, row, strict=True)
        }
        for stem, row in zip(evidence.frames, weights, strict=True)
    }


def frame_weights(evidence: Evidence) -> np.ndarray:
    """``(T, N)`` in [0, 1]: how well the members agree with the pseudo-label, each by its weight.

    The J&F of the members, averaged by their weights in the fusion; 1 where there is nothing to
    compare (a given mask).
    """
    members = len(evidence.members)
    agreement = (evidence["agreement_j"] + evidence["agreement_f"])[:, :members] / 2
    say = np.where(np.isnan(agreement), 0.0, np.nan_to_num(evidence["weight"][:, :members]))
    total = say.sum(axis=1)
    mean = (np.nan_to_num(agreement) * say).sum(axis=1) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, 1.0).clip(0, 1)
