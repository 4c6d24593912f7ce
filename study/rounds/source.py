"""What a round starts from: a finished run that kept its members' predictions."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble.config import RunConfig, family, load_config
from ensemble.finishing.video import open_prediction
from ensemble.fusion.frame_loop import VideoMembers
from ensemble.plan import open_data
from ensemble.storage.predictions import read_manifest
from ensemble.storage.run_directory import RunDirectory, existing_run
from mose.dataset import Dataset
from mose.layout import IMAGES
from selection.evidence import PSEUDO_LABEL
from selection.record import SelectionRecord, read_records
from stseg.errors import InputError
from stseg.failures import CorruptPrediction

LEAST_HELD_OUT = 3
"""With fewer videos a resampled interval says nothing of chance."""


@dataclass(frozen=True)
class FinishedRun:
    """A run whose videos are finished and whose predictions are there.

    config    is what it was made with
    dataset   is what it was made of
    run       is its folder
    records   are those of its videos, by name
    """

    config: RunConfig
    dataset: Dataset
    run: RunDirectory
    records: dict[str, SelectionRecord]

    def names_in(self, video: str) -> tuple[str, ...]:
        """The members that gave a prediction of a video, in the run's order."""
        names = [row.name for row in self.records[video].candidates]
        return tuple(name for name in names if name != PSEUDO_LABEL)

    def witnesses_in(self, video: str, member: str) -> tuple[str, ...]:
        """Those of other families than ``member``, whose errors are not its own."""
        names = self.names_in(video)
        return tuple(name for name in names if family(name) != family(member))

    def link_frames(self, video: str, folder: Path) -> None:
        """Let a data set in ``folder`` have the frames of a video."""
        place = self.dataset.frames_of(video)
        os.symlink(place.resolve(), folder / IMAGES / place.name)

    @contextmanager
    def opened(self, video: str, names: tuple[str, ...]) -> Iterator[VideoMembers]:
        """The predictions of some members of a video. One that is damaged is an `InputError`."""
        of = self.run.current_prediction
        try:
            with ExitStack() as stack:
                stored = [open_prediction(of(name, video), stack) for name in names]
                yield VideoMembers.of_run(self.config, self.dataset.video(video), names, stored)
        except CorruptPrediction as error:
            raise InputError(f"{error}; run {self.run.root} again") from None


def open_finished(root: Path) -> FinishedRun:
    """The run in ``root``; `InputError` where it has no finished video, or did not keep the
    predictions."""
    run = existing_run(root)
    config = load_config(run.config)
    records = {record.video: record for record in read_records(root)}
    if not records:
        raise InputError(f"run {root} has no finished video: finish it first")
    made = FinishedRun(config, open_data(config, Path("runs")), run, records)
    for video in records:
        for name in made.names_in(video):
            if read_manifest(run.prediction(name, video)) is None:
                raise InputError(
                    f"run {root} has no stored prediction of {name} for video {video}: run it with"
                    " --keep-soft"
                )
    return made


def held_out_videos(videos: list[str], share: float, seed: int) -> tuple[str, ...]:
    """A random share of the videos, at least `LEAST_HELD_OUT`, ascending; `InputError` where no
    more than these would be left to train on."""
    count = max(math.ceil(share * len(videos)), LEAST_HELD_OUT)
    if len(videos) < 2 * LEAST_HELD_OUT or count >= len(videos):
        raise InputError(
            f"{len(videos)} videos are too few for a round that holds {count} of them out:"
            f" {2 * LEAST_HELD_OUT} is the least, and rounds.held_out must leave some"
        )
    order = np.random.default_rng(seed).permutation(len(videos))[:count]
    return tuple(sorted(sorted(videos)[index] for index in order))
