"""Finish one video: fuse, score the candidates, select, write. One pass over the frames.

Reads every member's stored frame, fuses them into the pseudo-label, scores each candidate
against it (and against the labels, where there are any) and writes the pseudo-label; then
selects, and writes the selected masks. Nothing holds a whole video's masks.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble.config import RunConfig, calibration_of, selection_setup
from ensemble.finishing.objects import write_planes, write_selected_objects, writing_objects
from ensemble.finishing.scoring import Scorer, WrittenScore, blank_evidence
from ensemble.finishing.stills import add_still, making_stills
from ensemble.fusion.frame_loop import (
    FusedMasks,
    FusionSetup,
    MemberFrames,
    VideoMembers,
    read_frames,
    with_given,
)
from ensemble.fusion.overlap import OverlapFusion
from ensemble.refinement.survey import Survey
from ensemble.storage.predictions import Prediction
from ensemble.storage.run_directory import RunDirectory
from mose import InputError, Video
from mose.dataset import Dataset
from mose.labels import LabelMasks
from mose.masks import read_mask, write_mask
from mose.meta import VideoMeta
from selection.describe import describe
from selection.evidence import PSEUDO_LABEL, Evidence
from selection.identity import IdentityWatch
from selection.metrics import Regions
from selection.provenance import Provenance
from selection.record import SelectionRecord
from selection.selectors import Choice, compose, select
from stseg.failures import CorruptPrediction
from stseg.files import appearing, write_bytes, write_json


@dataclass(frozen=True)
class FinishingContext:
    """What finishing any video of a run needs.

    may_write   is asked before anything appears in the run directory; raises where it may not
    rounds      is the number of rounds of refinement that are done
    """

    config: RunConfig
    dataset: Dataset
    run: RunDirectory
    may_write: Callable[[], None] = lambda: None
    rounds: int = 0

    def prediction(self, member: str, video: str) -> Path:
        """Where a member's masks of a video lie."""
        return self.run.current_prediction(member, video, self.rounds)


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
        predictions = [open_prediction(context.prediction(m, name), stack) for m in members]
        of_video = VideoMembers.of_run(config, video, members, predictions)
        evidence, never_given = fuse_video(context, of_video, labels)
        choice = select(evidence, config.selection, calibration_of(config))
        by_name = dict(zip(members, predictions, strict=True))
        written = write_selected(run, video, choice, by_name, context.may_write, labels)
        if config.output.overlap:
            write_selected_objects(run, video, choice, by_name, context.may_write)
            if not config.selection.uses_cycle:  # which selects once more
                shutil.rmtree(run.pseudo_objects(name), ignore_errors=True)
        else:  # masks of an earlier run, which let objects overlap
            shutil.rmtree(run.objects(name), ignore_errors=True)
            shutil.rmtree(run.pseudo_objects(name), ignore_errors=True)
    evidence.save(run.evidence_path(name))
    missing = tuple(m.name for m in config.members if m.name not in members)
    reduced = {m: words for m, p in by_name.items() if (words := p.manifest.get("reduced"))}
    together = of_video.wrong_together()
    said = {m: (*(p.manifest.get("notes") or ()), *together[m]) for m, p in by_name.items()}
    notes = {m: sentences for m, sentences in said.items() if sentences}
    seconds = round(time.monotonic() - start, 3)
    corrections = {video.frame_names[t]: video.corrections.ids(t) for t in video.corrections}
    tracks = context.dataset.meta.get(name, VideoMeta()).tracks
    provenance = Provenance(
        key,
        video.height,
        video.width,
        missing,
        reduced,
        seconds,
        notes,
        corrections,
        never_given,
        {n: track.category for n, track in tracks.items() if track.category is not None},
    )
    record = describe(selection_setup(config), evidence, choice, provenance, written)
    write_json(run.record_path(name), record.json())
    # Later steps need the predictions, and remove them.
    waits = config.selection.uses_cycle or config.refinement.on
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


def fuse_video(
    context: FinishingContext, members: VideoMembers, labels: LabelMasks | None
) -> tuple[Evidence, tuple[int, ...]]:
    """Write the pseudo-label of a video; returns the evidence that was collected on the way, and
    the objects of the labels that are never given."""
    video, run = members.video, context.run
    evidence = blank_evidence(video, members.names, members.priors)
    scorer = Scorer(evidence, members.previews.appearance)
    identity = IdentityWatch(evidence)
    setup = FusionSetup(members.names, context.config.fusion)
    refines = context.config.refinement.on and context.rounds < context.config.refinement.rounds
    survey = Survey.blank(video, members.names, members.priors) if refines else None
    shown = (context.config.output.report, run, video, evidence.candidates, labels is not None)
    overlap = OverlapFusion(members, setup.options) if context.config.output.overlap else None
    with (
        making_stills(*shown, context.may_write) as stills,
        appearing(run.pseudo_labels(video.name), context.may_write) as folder,
        writing_objects(overlap, run.pseudo_objects(video.name), context.may_write) as objects,
    ):
        for frame in read_frames(members):
            pseudo = frame.fuse(setup)
            if survey is not None:
                survey.add(frame)
            write_mask(folder / f"{frame.name}.png", pseudo.ids)
            truth = labels(frame.index) if labels else None
            if stills is not None and frame.index in stills.indices:
                add_still(stills, frame, pseudo.ids, truth)
            candidates = [*frame.regions, Regions(pseudo.ids)]
            if overlap is None or objects is None:
                score(scorer, frame, pseudo, candidates)
            else:
                apart = overlap.fuse(frame)
                write_planes(objects, frame.name, apart.pseudo)
                score(scorer, frame, pseudo, apart.candidates((video.height, video.width)))
            if labels is not None and truth is not None:
                true, shown_masks = Regions(truth), as_written(frame, candidates)
                scorer.add_truth(frame.index, shown_masks, true, labels.counts(frame.index))
            identity.add(frame.index, frame.scored, [masks.ids for masks in candidates])
    if survey is not None:
        survey.save(run.survey_path(video.name, context.rounds + 1))
    known = context.dataset.meta.get(video.name)
    return evidence, scorer.close_truth(known.objects if known else None)


def as_written(frame: MemberFrames, masks: Sequence[Regions]) -> Sequence[Regions]:
    """Masks of a frame as they would be written if they were selected: given ones verbatim."""
    video, index = frame.members.video, frame.index
    if video.given(index) is None:
        return masks
    return [Regions(with_given(one.ids, video, index)) for one in masks]


def score(
    scorer: Scorer, frame: MemberFrames, pseudo: FusedMasks, candidates: Sequence[Regions]
) -> None:
    """Record everything about one frame but labels; ``candidates`` end with the pseudo-label."""
    index, scored = frame.index, frame.scored
    scorer.add_fusion(index, frame.known, pseudo.frames, pseudo.fused)
    scorer.add_candidates(index, scored, candidates)
    if scored:
        scorer.add_agreement(index, scored, candidates, candidates[-1])


def write_selected(
    run: RunDirectory,
    video: Video,
    choice: Choice,
    predictions: Mapping[str, Prediction],
    may_write: Callable[[], None],
    labels: LabelMasks | None,
) -> dict[int, float] | None:
    """Write the selected masks, given masks verbatim.

    Returns, where there are labels and several candidates share the video, the J&F of the masks
    by object: the candidates' own scores do not tell who has a pixel that two of them claim.
    """
    names = {name for spans in choice.plan.values() for _, _, name in spans}
    written = WrittenScore(video, labels) if labels and len(names) > 1 else None
    with appearing(run.masks(video.name), may_write) as folder:
        for index, stem in enumerate(video.frame_names):
            path = folder / f"{stem}.png"
            if not written and is_pseudo_label(choice, index):  # which is there, encoded
                write_bytes(path, pseudo_label_path(run, video, index).read_bytes())
                continue
            ids = selected_frame(run, video, choice, predictions, index)
            write_mask(path, ids)
            if written:
                written.add(index, ids)
    return written.by_object() if written else None


def is_pseudo_label(choice: Choice, index: int) -> bool:
    """Whether the pseudo-label, in which given masks are verbatim, is selected of a whole frame."""
    return set(choice.at(index).values()) == {PSEUDO_LABEL} and not choice.missing(index)


def pseudo_label_path(run: RunDirectory, video: Video, index: int) -> Path:
    """Where the pseudo-label of a frame lies."""
    return run.pseudo_labels(video.name) / f"{video.frame_names[index]}.png"


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
        labels[PSEUDO_LABEL] = read_mask(pseudo_label_path(run, video, index), binary=False)
    return with_given(compose(choice, index, labels), video, index)
