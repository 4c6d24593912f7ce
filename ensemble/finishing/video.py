"""Finish one video: fuse, score the candidates, select, write. One pass over the frames.

Reads every member's stored frame, fuses them into the pseudo-label, scores each candidate
against it (and against the labels, where there are any) and writes the pseudo-label; then
selects, and writes the selected masks. Nothing holds a whole video's masks.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble.config import RunConfig, calibration_of, selection_setup
from ensemble.finishing.scoring import Colours, Scorer, blank_evidence
from ensemble.finishing.stills import add_still, making_stills
from ensemble.fusion.frame_loop import (
    FusedMasks,
    FusionSetup,
    MemberFrames,
    VideoMembers,
    read_frames,
    with_given,
)
from ensemble.storage.predictions import CorruptPrediction, Prediction
from ensemble.storage.run_directory import RunDirectory
from mose import InputError, Video
from mose.dataset import Dataset
from mose.masks import read_mask, write_mask
from selection.describe import describe
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.identity import IdentityWatch
from selection.metrics import Regions
from selection.record import Provenance, SelectionRecord
from selection.selectors import Choice, compose, select
from stseg.files import appearing, write_json

Labels = Callable[[int], np.ndarray | None]
"""Frame index -> ``(H, W) uint8`` true ids, or None where a frame has no label."""


@dataclass(frozen=True)
class FinishingContext:
    """What finishing any video of a run needs.

    may_write   is asked before anything appears in the run directory; raises where it may not
    """

    config: RunConfig
    dataset: Dataset
    run: RunDirectory
    may_write: Callable[[], None] = lambda: None


def finish_video(
    context: FinishingContext, name: str, members: tuple[str, ...], key: str
) -> SelectionRecord:
    """Make everything of one video from the predictions of ``members``; returns its record.

    key under which the video counts as complete

    Raises `InputError` where no member gave a prediction, and `CorruptPrediction` where a
    stored one does not read back.
    """
    if not members:
        raise InputError(f"video {name} cannot be finished: no member gave a prediction")
    start = time.monotonic()
    config, dataset, run = context.config, context.dataset, context.run
    video = dataset.video(name)
    labels = dataset.label_masks(name, video) if dataset.labels is not None else None
    with ExitStack() as stack:
        predictions = [open_prediction(run.prediction(member, name), stack) for member in members]
        of_video = VideoMembers.of_run(config, video, members, predictions)
        evidence = fuse_video(context, of_video, labels)
        choice = select(evidence, config.selection, calibration_of(config))
        by_name = dict(zip(members, predictions, strict=True))
        write_selected(run, video, choice, by_name, context.may_write)
    evidence.save(run.evidence_path(name))
    missing = tuple(m.name for m in config.members if m.name not in members)
    reduced = {m: words for m, p in by_name.items() if (words := p.manifest.get("reduced"))}
    notes = {m: tuple(said) for m, p in by_name.items() if (said := p.manifest.get("notes"))}
    seconds = round(time.monotonic() - start, 3)
    corrections = {video.frame_names[t]: video.corrections.ids(t) for t in video.corrections}
    provenance = Provenance(
        key, video.height, video.width, missing, reduced, seconds, notes, corrections
    )
    record = describe(selection_setup(config), evidence, choice, provenance)
    write_json(run.record_path(name), record.json())
    # Following back needs the predictions; whoever does that removes them.
    waits = config.selection.uses_cycle
    if not config.output.keep_soft and not missing and not waits:
        for member in members:
            shutil.rmtree(run.prediction(member, name), ignore_errors=True)
    return record


def open_prediction(folder: Path, stack: ExitStack) -> Prediction:
    """Open a prediction until ``stack`` ends. One that turns out to be damaged is removed, so that
    its pair is run again."""
    try:
        prediction = Prediction(folder)
    except CorruptPrediction:
        shutil.rmtree(folder, ignore_errors=True)
        raise

    def close(kind: type | None, error: BaseException | None, _: object) -> None:
        prediction.close()
        if isinstance(error, CorruptPrediction) and error.folder == folder:
            shutil.rmtree(folder, ignore_errors=True)

    stack.push(close)
    return prediction


def fuse_video(context: FinishingContext, members: VideoMembers, labels: Labels | None) -> Evidence:
    """Write the pseudo-label of a video and return the evidence that was collected on the way."""
    video, run = members.video, context.run
    evidence = blank_evidence(video, members.names, members.priors)
    scorer = Scorer(evidence, Colours(video))
    identity = IdentityWatch(evidence)
    setup = FusionSetup(members.names, context.config.fusion)
    shown = (context.config.output.report, run, video, evidence.candidates, labels is not None)
    with (
        making_stills(*shown, context.may_write) as stills,
        appearing(run.pseudo_labels(video.name), context.may_write) as folder,
    ):
        for frame in read_frames(members):
            pseudo = frame.fuse(setup)
            write_mask(folder / f"{frame.name}.png", pseudo.ids)
            truth = labels(frame.index) if labels else None
            if stills is not None and frame.index in stills.indices:
                add_still(stills, frame, pseudo.ids, truth)
            candidates = [*frame.regions, Regions(pseudo.ids)]
            score(scorer, frame, pseudo, candidates, truth)
            identity.add(frame.index, frame.scored, [masks.ids for masks in candidates])
    return evidence


def score(
    scorer: Scorer,
    frame: MemberFrames,
    pseudo: FusedMasks,
    candidates: Sequence[Regions],
    truth: np.ndarray | None,
) -> None:
    """Record everything about one frame; ``candidates`` end with the pseudo-label."""
    index, scored = frame.index, frame.scored
    scorer.add_fusion(index, frame.known, pseudo.frames, pseudo.fused)
    labels = Regions(truth) if truth is not None else None
    scorer.add_candidates(index, scored, candidates, labels)
    if scored:
        scorer.add_agreement(index, scored, candidates, candidates[-1])


def write_selected(
    run: RunDirectory,
    video: Video,
    choice: Choice,
    predictions: Mapping[str, Prediction],
    may_write: Callable[[], None],
) -> None:
    """Write the selected masks, given masks verbatim."""
    with appearing(run.masks(video.name), may_write) as folder:
        for stem, ids in zip(
            video.frame_names, selected_frames(run, video, choice, predictions), strict=True
        ):
            write_mask(folder / f"{stem}.png", ids)


def selected_frames(
    run: RunDirectory, video: Video, choice: Choice, predictions: Mapping[str, Prediction]
) -> Iterator[np.ndarray]:
    """``(H, W) uint8`` selected ids, frame by frame."""
    for index in range(len(video)):
        yield selected_frame(run, video, choice, predictions, index)


def selected_frame(
    run: RunDirectory,
    video: Video,
    choice: Choice,
    predictions: Mapping[str, Prediction],
    index: int,
) -> np.ndarray:
    """``(H, W) uint8`` selected ids of one frame."""
    used = set(choice.at(index).values())
    labels = {
        name: predictions[name][index].labels(video.height, video.width)
        for name in used - {PSEUDO_LABEL}
    }
    if len(used) > 1 or PSEUDO_LABEL in used:
        path = run.pseudo_labels(video.name) / f"{video.frame_names[index]}.png"
        labels[PSEUDO_LABEL] = read_mask(path, binary=False)
    return with_given(compose(choice, index, labels), video, index)
