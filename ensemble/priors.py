"""The priors of a run's members beside what all its videos say of them, once they are finished. No
label is needed, and no prediction."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ensemble.config import RunConfig, calibration_of, prior_of
from ensemble.storage.run_directory import RunDirectory
from selection.evidence import Evidence
from selection.worth import RATE, Sight, Worth, judge
from stseg.cli import counted
from stseg.errors import InputError


def judge_run(config: RunConfig, run: RunDirectory, videos: Iterable[str]) -> Worth:
    """What the finished ones of ``videos`` say of the members, as far as all gave a prediction.

    Raises `InputError` where they say nothing, see `selection.worth.judge`.
    """
    members = tuple(member.name for member in config.members)
    calibration = calibration_of(config)
    priors = np.array([prior_of(member, calibration) for member in config.members])
    sights = []
    for video in videos:
        if (path := run.evidence_path(video)).is_file():
            evidence = Evidence.load(path)
            sights.append(Sight.of(evidence) if evidence.members == members else None)
    return judge(members, priors, [sight for sight in sights if sight])


def note_on_priors(config: RunConfig, run: RunDirectory, videos: Iterable[str]) -> str | None:
    """A sentence where the videos say clearly that the members' priors are wrong."""
    try:
        worth = judge_run(config, run, videos)
    except InputError:
        return None
    if not worth.contradicts:
        return None
    masks = f"the masks of {counted(worth.videos, 'video')}"
    return (
        f"{masks} speak against the members' priors (against right ones, as clearly in less than"
        f" {100 * RATE:.0f} of 100 runs): python -m selection.calibrate --run {run.root}"
        " --unlabelled corrects them"
    )
