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
from pathlib import Path

import numpy as np

from ensemble.config import RunConfig, calibration_of, prior_of, selection_setup
from ensemble.finishing.scoring import Colours, Scorer, calibrated
from ensemble.finishing.stills import add_still, making_stills
from ensemble.fusion.frame import Fused, Gathered
from ensemble.fusion.trust import Trust
from ensemble.storage.predictions import CorruptPrediction, Prediction, StoredFrame
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


def finish_video(
    config: RunConfig,
    dataset: Dataset,
    run: RunDirectory,
    name: str,
    members: tuple[str, ...],
    key: str,
    may_write: Callable[[], None] = lambda: None,
) -> SelectionRecord:
    """Make everything of one video from the predictions of ``members``; returns its record.

    key         under which the video is whole
    may_write   asked before anything appears in the run directory; raises where it may not

    Raises `InputError` where no member gave a prediction, and `CorruptPrediction` where a
    stored one does not read back.
    """
    if not members:
        raise InputError(f"video {name} cannot be finished: no member gave a prediction")
    start = time.monotonic()
    video = dataset.video(name)
    labels = label_reader(dataset, name, video) if dataset.labels is not None else None
    with ExitStack() as stack:
        predictions = [open_prediction(run.prediction(member, name), stack) for member in members]
        evidence = fuse_video(config, run, video, members, predictions, labels, may_write)
        choice = select(evidence, config.selection, calibration_of(config))
        by_name = dict(zip(members, predictions, strict=True))
        write_selected(run, video, choice, by_name, may_write)
    evidence.save(run.timeline(name))
    missing = tuple(m.name for m in config.members if m.name not in members)
    reduced = {m: words for m, p in by_name.items() if (words := p.manifest.get("reduced"))}
    seconds = round(time.monotonic() - start, 3)
    provenance = Provenance(key, video.height, video.width, missing, reduced, seconds)
    record = describe(selection_setup(config), evidence, choice, provenance)
    write_json(run.evidence(name), record.json())
    # Following back needs the predictions; whoever does that removes them.
    waits = config.selection.uses_cycle
    if not config.output.keep_soft and not missing and not waits:
        for member in members:
            shutil.rmtree(run.prediction(member, name), ignore_errors=True)
    return record


def open_prediction(folder: Path, stack: ExitStack) -> Prediction:
    """Open a prediction until ``stack`` ends; one that turns out damaged is removed, so that
    the pair is not whole any more and is run again."""
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
    config: RunConfig,
    run: RunDirectory,
    video: Video,
    members: tuple[str, ...],
    predictions: Sequence[Prediction],
    labels: Labels | None,
    may_write: Callable[[], None],
) -> Evidence:
    """Write the pseudo-label of a video and return what was seen on the way."""
    by_name = {member.name: member for member in config.members}
    calibration = calibration_of(config)
    priors = np.asarray([prior_of(by_name[name], calibration) for name in members])
    curves = [calibration.curves.get(name) if calibration else None for name in members]
    evidence = Evidence.blank(
        video.name,
        (*members, PSEUDO_LABEL),
        np.append(priors, priors.max()),
        video.object_ids,
        video.frame_names,
    )
    scorer = Scorer(evidence, Colours(video))
    identity = IdentityWatch(evidence)
    trust = Trust(video, len(members))
    known: tuple[int, ...] = ()
    shown = (config.output.report, run, video, evidence.candidates, labels is not None)
    with (
        making_stills(*shown, may_write) as stills,
        appearing(run.pseudo_labels(video.name), may_write) as folder,
    ):
        for index, stem in enumerate(video.frame_names):
            frames = [
                calibrated(prediction[index], curve)
                for prediction, curve in zip(predictions, curves, strict=True)
            ]
            scored = known
            known = tuple(sorted({*known, *video.prompts.ids(index)}))
            regions = [Regions(f.labels(video.height, video.width)) for f in frames]
            trust.look(index, regions)
            gathered = Gathered(frames, regions, priors, known, trust.table(known))
            fused = gathered.fuse(config.fusion)
            ids = with_given(fused.ids, video, index)
            write_mask(folder / f"{stem}.png", ids)
            truth = labels(index) if labels else None
            if stills is not None and index in stills.indices:
                add_still(stills, video, index, frames, ids, priors, known, truth)
            candidates = [*regions, Regions(ids)]
            score(scorer, index, known, scored, (frames, fused), candidates, truth)
            identity.look(index, scored, [masks.ids for masks in candidates])
    return evidence


def score(
    scorer: Scorer,
    index: int,
    known: tuple[int, ...],
    scored: tuple[int, ...],
    said: tuple[Sequence[StoredFrame], Fused],
    candidates: Sequence[Regions],
    truth: np.ndarray | None,
) -> None:
    """Note everything of one frame; ``candidates`` end with the pseudo-label."""
    scorer.say(index, known, *said)
    scorer.look(index, scored, candidates, Regions(truth) if truth is not None else None)
    if scored:
        scorer.agree(index, scored, candidates, candidates[-1])


def with_given(ids: np.ndarray, video: Video, index: int) -> np.ndarray:
    """``ids`` with the mask that is given on this frame, if any, put verbatim over it.

    On the first frame with a mask, that mask is all there is.
    """
    if index not in video.prompts:
        return ids
    given = video.prompts[index]
    if index == next(iter(video.prompts)):
        return given
    return np.where(given > 0, given, ids)


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
    for index, stem in enumerate(video.frame_names):
        used = set(choice.at(index).values())
        labels = {
            name: predictions[name][index].labels(video.height, video.width)
            for name in used - {PSEUDO_LABEL}
        }
        if len(used) > 1 or PSEUDO_LABEL in used:
            path = run.pseudo_labels(video.name) / f"{stem}.png"
            labels[PSEUDO_LABEL] = read_mask(path, binary=False)
        yield with_given(compose(choice, index, labels), video, index)


def label_reader(dataset: Dataset, name: str, video: Video) -> Labels:
    """Reads the true ids of a video's frames, as far as there are any."""
    folder = dataset.labels_folder(name)

    def read(index: int) -> np.ndarray | None:
        path: Path = folder / f"{video.frame_names[index]}.png"
        if not path.exists():
            return None
        ids = read_mask(path)
        if ids.shape != (video.height, video.width):
            raise InputError(
                f"label {path} is {ids.shape[0]} x {ids.shape[1]}, but the frames of video {name}"
                f" are {video.height} x {video.width}: give labels of the same size"
            )
        return ids

    return read
