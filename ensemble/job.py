"""The work beside a model: decode, segment, store; and, per video, `finish`.

The executors are given a `RunJob`. It can be pickled and holds no arrays; it makes the workers of
members and finishes videos, on any process or node.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble.config import MemberConfig, RunConfig
from ensemble.execution import lease
from ensemble.execution.memory_ladder import lighter
from ensemble.finishing.video import FinishingContext, finish_video
from ensemble.refinement.carry_on import carry_on
from ensemble.storage.predictions import Prediction, PredictionWriter, read_manifest
from ensemble.storage.run_directory import RunDirectory
from mose import InputError, Video
from mose.dataset import Dataset
from mose.prefetch import prefetched
from stseg.failures import CorruptPrediction
from stseg.files import quick_digest

if TYPE_CHECKING:
    from adapters.base import FrameMasks, Segmenter
    from ensemble.scheduling.messages import Attempt, JobRecord

TRANSDUCTIVE = "it was trained on unlabelled frames of these videos (transductive)"
"""What a record notes of a member that has learnt from the videos at hand."""

DECODE_AHEAD = 4
"""Frames decoded ahead of a model on a GPU."""


@dataclass(frozen=True)
class RunJob:
    """The work of a run.

    config      the run's configuration
    dataset     the data set, with absolute paths
    root        run directory, absolute
    member_keys member -> hash of everything, besides the video, on which its predictions depend
    how         hash of everything, besides the video, on which finished videos depend
    hashes      member -> sha256 of its weights, where it has any
    lease       token of the driver's lease; a result for a driver that lost it is left out
    """

    config: RunConfig
    dataset: Dataset
    root: Path
    member_keys: Mapping[str, str]
    how: str
    hashes: Mapping[str, str | None]
    lease: str = ""

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.root)

    def pair_key(self, member: str, fingerprint: str) -> str:
        """Resume key of a member's prediction of the video with this fingerprint."""
        return quick_digest(self.member_keys[member], fingerprint)

    def video_key(self, fingerprint: str) -> str:
        """Resume key of the finished video with this fingerprint."""
        return quick_digest(self.how, fingerprint)

    def check(self) -> None:
        """Raise `InputError` where this node does not see the run folder or the data set."""
        lease.check(self.root, self.lease)
        if not self.dataset.images.is_dir():
            raise InputError(
                f"data set folder {self.dataset.images} is not there: put the data set on a file"
                " system that all nodes share"
            )

    def start(self, member: str) -> MemberWorker:
        """A worker with the member's model loaded; `InputError` if that cannot be."""
        lease.check(self.root, self.lease)
        chosen = next(m for m in self.config.members if m.name == member)
        return MemberWorker(self, chosen)

    def finish(self, video: str, members: tuple[str, ...]) -> JobRecord:
        """Fuse, score, select and write one video from the predictions of ``members``."""
        fingerprint = self.dataset.video(video).fingerprint()
        self._check_predictions(video, members, fingerprint)
        shutil.rmtree(self.run.refinement(video), ignore_errors=True)  # of other predictions
        key = self.video_key(fingerprint)
        context = FinishingContext(
            self.config, self.dataset, self.run, lambda: lease.check(self.root, self.lease)
        )
        record = finish_video(context, video, members, key)
        return {**record.json(), "stamp": self.run.finished_stamp(video)}

    def _check_predictions(self, video: str, members: tuple[str, ...], fingerprint: str) -> None:
        """Remove predictions of the video as it was before it changed, so that all are of the same
        frames. Raises `CorruptPrediction` if there was one."""
        old = [
            self.run.prediction(member, video)
            for member in members
            if not self.run.whole_pair(member, video, self.pair_key(member, fingerprint))
        ]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        if old:
            raise CorruptPrediction(old[0], "is not whole, or not of the video as it is now")


class MemberWorker:
    """One member's model and the loop that turns a video into a stored prediction."""

    def __init__(self, job: RunJob, member: MemberConfig):
        self.job, self.member = job, member
        self.segmenter = self._load(member.options)

    def _load(self, options: Mapping[str, Any]) -> Segmenter:
        import adapters

        execution = self.job.config.execution
        weights = find_weights(self.member.weights, execution.fetch_weights)
        device = execution.device
        return adapters.load(self.member.adapter, weights, device, **options)

    def _lighter(self, step: int, short_side: int) -> tuple[Segmenter, str]:
        """The model for a step of the out-of-memory ladder, and a description of what is
        lighter."""
        if step == 0:
            return self.segmenter, ""
        known = {f.name for f in dataclasses.fields(self.segmenter.Options)}
        options, words = lighter(self.member.options, known, step, short_side)
        return (self._load(options) if words else self.segmenter), words

    def _notes(self, segmenter: Segmenter) -> list[str]:
        """What is to be said of the member, in sentences."""
        return [*segmenter.notes, *([TRANSDUCTIVE] if self.member.transductive else [])]

    def _masks(self, segmenter: Segmenter, video: Video) -> Iterator[FrameMasks]:
        """The masks of every frame; those of an earlier prediction as far as it is to be kept."""
        folder = self._earlier()
        if folder is None:
            yield from segmenter.segment(video)
            return
        with closing(Prediction(folder)) as earlier:
            yield from carry_on(segmenter, video, earlier, self.job.config.data.since)

    def _earlier(self) -> Path | None:
        """The earlier prediction that the member goes on from, where there is one."""
        earlier = self.job.config.data.earlier
        folder = Path(earlier) / self.member.name if earlier else None
        return folder if folder and read_manifest(folder) else None

    def run(self, video: str, attempt: Attempt) -> JobRecord:
        """Segment ``video`` and store the prediction; returns a small record."""
        opened = self.job.dataset.video(video)
        opened.check_prompts()
        key = self.job.pair_key(self.member.name, opened.fingerprint())
        folder = self.job.run.prediction(self.member.name, video)
        segmenter, reduced = self._lighter(attempt.step, min(opened.height, opened.width))
        start = time.monotonic()
        writer = PredictionWriter(folder, opened.height, opened.width, str(attempt.token))
        # Beside a model on the CPU, decoding threads would only take its cores.
        ahead = DECODE_AHEAD if self.job.config.execution.device != "cpu" else 0
        with writer, prefetched(opened, ahead) if ahead else nullcontext(opened) as frames:
            for frame in self._masks(segmenter, frames):
                writer.add(frame)
            seconds = time.monotonic() - start
            lease.check(self.job.root, self.job.lease)
            size = writer.commit(
                {
                    "key": key,
                    "member": self.member.name,
                    "adapter": self.member.adapter,
                    "weights": self.member.weights,
                    "weights_sha256": self.job.hashes.get(self.member.name),
                    "options": dict(self.member.options),
                    "reduced": reduced,
                    "notes": self._notes(segmenter),
                    "video": video,
                    "objects": list(opened.object_ids),
                    "seconds": round(seconds, 3),
                    **({"since": self.job.config.data.since} if self._earlier() else {}),
                }
            )
        return {
            "seconds": seconds,
            "frames": len(opened),
            "bytes": size,
            "key": key,
            "stamp": self.job.run.prediction_stamp(self.member.name, video),
        }


def find_weights(name: str | None, fetch: bool = False) -> Path | None:
    """The checkpoint of a member: a path, or a name of the catalogue that was fetched.

    fetch   fetch it where it is not here yet; of several processes on a node (or with one
            ``STSEG_WEIGHTS``) one does, the others wait for it
    """
    if name is None:
        return None
    from adapters.weights import catalogue, store

    if fetch and not Path(name).is_file() and name in (known := catalogue.read_catalogue()):
        return store.fetch(known[name])
    return store.resolve(name)
