"""Where everything of a run lies. Paths only: nothing is read here.

It stands beside the report and the exports, which read run folders, and below the pipeline,
which writes them; `ensemble.storage.run_directory` adds which parts of a run are complete.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

LAYOUT = """\
  masks/<video>/00000.png           the selected masks
  submission.zip                    the same, as a server takes it
  report/index.html                 the selection report
  selection/<video>.json            every candidate's scores, the winner, why
  selection/timelines/<video>.npz   the scores frame by frame
  refinement/<video>/1/             what members dispute in each round of refinement
  selection.csv  summary.json       the run in numbers
  failures.json                     what was given up, and why
  pseudo-labels/<video>/00000.png   the fused masks
  objects/<video>/001/00000.png     with output.overlap: the selected masks object by object
  predictions/<member>/<video>/     until the video is finished, or with --keep-soft
  config.yaml  environment.json     what the run was made with
  events.jsonl  resume.jsonl  lease.json"""
"""A run folder, for people."""

FOLDERS = ("predictions", "pseudo-labels", "masks", "selection/timelines")
"""Made when a run begins."""

WRITTEN = (
    ".",
    "pseudo-labels",
    "objects",
    "pseudo-objects",
    "selection",
    "selection/timelines",
    "report",
    "report/frames",
)
"""Folders, besides predictions and masks, in which a killed writer may have left files."""


_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_HASHED = re.compile(r".*-[0-9a-f]{8}")


def page_name(video: str) -> str:
    """The file name, without suffix, of a video's page: the video's own where that is safe.

    Other names (and "index") are reduced to safe characters and get a hash, so that two videos
    never share a page.
    """
    if _PLAIN.fullmatch(video) and not _HASHED.fullmatch(video) and video.lower() != "index":
        return video
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", video)[:60].lstrip(".")
    return f"{plain}-{hashlib.sha256(video.encode(errors='surrogateescape')).hexdigest()[:8]}"


@dataclass(frozen=True)
class RunPaths:
    """Paths inside a run folder."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration of the run; its presence makes a folder a run."""
        return self.root / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.root / "environment.json"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def journal(self) -> Path:
        return self.root / "resume.jsonl"

    @property
    def failures(self) -> Path:
        return self.root / "failures.json"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def table(self) -> Path:
        """One line per video."""
        return self.root / "selection.csv"

    @property
    def submission(self) -> Path:
        return self.root / "submission.zip"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"

    def page(self, video: str) -> Path:
        """The page of a video in the report."""
        return self.root / "report" / f"{page_name(video)}.html"

    def stills(self, video: str) -> Path:
        """Small pictures of a video, for the report."""
        return self.root / "report" / "frames" / page_name(video)

    @property
    def all_masks(self) -> Path:
        return self.root / "masks"

    @property
    def all_objects(self) -> Path:
        """Selected masks of single objects, which others may overlap."""
        return self.root / "objects"

    def objects(self, video: str) -> Path:
        return self.all_objects / video

    def pseudo_objects(self, video: str) -> Path:
        """The pseudo-label object by object, where objects may overlap, until all is selected."""
        return self.root / "pseudo-objects" / video

    @property
    def overrides(self) -> Path:
        """One line per choice made by hand."""
        return self.root / "overrides.jsonl"

    def masks(self, video: str) -> Path:
        return self.all_masks / video

    def pseudo_labels(self, video: str) -> Path:
        return self.root / "pseudo-labels" / video

    def predictions(self, member: str) -> Path:
        return self.root / "predictions" / member

    def prediction(self, member: str, video: str) -> Path:
        return self.predictions(member) / video

    def prediction_file(self, member: str, video: str, name: str) -> str:
        """A file of a prediction. A string, like `finished_files`: a plan looks at a million of
        them, and joining paths takes eight times as long as the look."""
        return f"{self.root}/predictions/{member}/{video}/{name}"

    def finished_files(self, video: str) -> tuple[str, str, str]:
        """The record and the folders of masks and of pseudo-labels of a finished video."""
        return (
            f"{self.root}/selection/{video}.json",
            f"{self.root}/masks/{video}",
            f"{self.root}/pseudo-labels/{video}",
        )

    def record_path(self, video: str) -> Path:
        """The selection record of a video."""
        return self.root / "selection" / f"{video}.json"

    def record_paths(self) -> list[Path]:
        """The selection records that are there."""
        return sorted((self.root / "selection").glob("*.json"))

    def evidence_path(self, video: str) -> Path:
        """Every candidate's scores, frame by frame."""
        return self.root / "selection" / "timelines" / f"{video}.npz"

    def evidence_paths(self) -> list[Path]:
        """The evidence of the videos that are finished."""
        return sorted((self.root / "selection" / "timelines").glob("*.npz"))

    def cycle_score(self, member: str, video: str) -> Path:
        """How a member that was followed back met the given masks."""
        return self.root / "cycles" / member / f"{video}.json"

    def refinement(self, video: str) -> Path:
        """What the members of a video dispute, and what came of looking into it."""
        return self.root / "refinement" / video

    def refinement_round(self, video: str, number: int) -> Path:
        """The same of one round; the first is 1."""
        return self.refinement(video) / str(number)

    def survey_path(self, video: str, number: int) -> Path:
        """The members' masks before a round, measured against each other."""
        return self.refinement_round(video, number) / "survey.npz"

    def disputes_path(self, video: str, number: int) -> Path:
        """The disputes that were looked into in a round."""
        return self.refinement_round(video, number) / "disputes.json"

    def refined_prediction(self, member: str, video: str, number: int) -> Path:
        """What a round put in the place of a member's prediction."""
        return self.refinement_round(video, number) / "members" / member

    def overridden_record(self, video: str) -> Path:
        """What the run itself had selected, where somebody chose otherwise."""
        return self.root / "overridden" / f"{video}.json"

    def overridden_masks(self, video: str) -> Path:
        return self.root / "overridden" / video

    @property
    def unfinished_edit(self) -> Path:
        """The change by hand that is being made; there only where somebody died over it."""
        return self.root / "overridden" / "unfinished.json"

    @property
    def all_corrections(self) -> Path:
        """Masks that were corrected by hand, as ``--corrections`` takes them."""
        return self.root / "corrections"

    def corrections(self, video: str) -> Path:
        return self.all_corrections / video

    def drawn(self, video: str) -> Path:
        """Every mask that was ever drawn for a video, named by its content."""
        return self.root / "drawn" / video

    def own_state(self, video: str) -> Path:
        """The state in which the run itself had left a video that somebody changed."""
        return self.drawn(video) / "own.json"

    def continuation(self, video: str, number: int) -> Path:
        """A run folder with what members made of a video from its corrections; 0 holds what the
        run itself had made, while a continuation is in its place."""
        return self.root / "continued" / video / str(number)

    def study_evidence(self, name: str) -> Path:
        """Evidence that a study keeps for the next one."""
        return self.root / "study" / "evidence" / f"{name}.npz"
