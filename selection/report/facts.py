"""What the report knows of a run and of each of its videos, reduced to what pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from selection.evidence import Evidence
from selection.record import SelectionRecord
from selection.report.flags import Flag, presence_changes, selected_rows, taken
from selection.report.stills import Stills
from selection.run_paths import RunPaths
from stseg.errors import InputError
from stseg.text import load_yaml, read_json


@dataclass(frozen=True)
class ReportedRun:
    """A run as a whole.

    root              is its folder
    images            is where the frames of the data set are, or were
    dataset_name, split   say of which videos
    priors            are the members' expected J&F in percent, None where not given
    transductive      are the members that were trained on unlabelled frames of these videos
    versions          are those of what the numbers depend on
    videos, chosen, agreement, truth, failures, seconds, lost   are as in summary.json
    """

    root: Path
    images: Path
    dataset_name: str
    split: str
    priors: Mapping[str, float | None]
    transductive: tuple[str, ...]
    versions: Mapping[str, str]
    videos: int
    chosen: Mapping[str, int]
    agreement: Mapping[str, float]
    truth: Mapping[str, float]
    failures: int
    seconds: float
    lost: Mapping[str, float] = field(default_factory=dict)


def read_run(root: Path) -> ReportedRun:
    """From ``config.yaml``, ``summary.json`` and ``environment.json``; `InputError` without."""
    paths = RunPaths(root)
    for path in (paths.config, paths.summary, paths.environment):
        if not path.is_file():
            raise InputError(f"{root} is no run folder (no {path.name}): give one")
    try:
        config = load_yaml(paths.config)
        summary = read_json(paths.summary, "summary")
        environment = read_json(paths.environment, "environment")
        data = config["data"]
        return ReportedRun(
            root,
            Path(environment["images"]),
            Path(data["dataset"]).name or data["dataset"],
            data["split"],
            {member["name"]: member.get("prior") for member in config["members"]},
            tuple(m["name"] for m in config["members"] if m.get("transductive")),
            environment.get("versions", {}),
            summary["videos"],
            summary["chosen"],
            summary["agreement"],
            summary["truth"],
            summary["failures"],
            summary["seconds"],
            summary.get("lost", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{root} holds a damaged run ({detail}): run it again") from None


@dataclass(frozen=True)
class VideoFacts:
    """One video in the index.

    record     is its selection record
    flags      are the reasons to look at it, the weightiest first
    changes    counts appearances and disappearances of objects in the selected masks
    members    gave a prediction
    overlap    is ``(M, M)``, the mean IoU of the members; None where unknown
    thumbnail  is the number of the still that stands for the video; None without stills
    """

    record: SelectionRecord
    flags: Sequence[Flag]
    changes: int
    members: tuple[str, ...]
    overlap: np.ndarray | None
    thumbnail: int | None

    @classmethod
    def of(
        cls,
        record: SelectionRecord,
        evidence: Evidence | None,
        flags: Sequence[Flag],
        stills: Stills | None,
    ) -> VideoFacts:
        """Made from everything that is known about a video."""
        changes, overlap = 0, None
        members: tuple[str, ...] = ()
        if evidence is not None:
            members = evidence.members
            rows = selected_rows(record, evidence)
            changes = sum(
                len(presence_changes(taken(evidence["area"], rows, n)))
                for n in range(len(evidence.object_ids))
            )
            if not np.isnan(evidence.overlap).all():
                overlap = np.nanmean(evidence.overlap, axis=0)
        thumbnail = len(stills.stems) // 2 if stills else None
        return cls(record, flags, changes, members, overlap, thumbnail)

    @property
    def name(self) -> str:
        return self.record.video

    @property
    def expected(self) -> float | None:
        """J&F to expect of the selection, where the run had a calibration."""
        return self.record.forecast.expected if self.record.forecast else None

    @property
    def selected_truth(self) -> float | None:
        """J&F of the selection against labels."""
        by_object = self.record.truth.by_object if self.record.truth else {}
        known = [score for score in by_object.values() if score is not None]
        return float(np.mean(known)) if known else None

    @property
    def regret(self) -> float | None:
        """What the best candidate would have gained; 0 if a mixture of candidates was even
        better."""
        row = self.record.candidate(self.record.truth.oracle) if self.record.truth else None
        if self.selected_truth is None or row is None or row.truth is None:
            return None
        return max(row.truth - self.selected_truth, 0.0)
