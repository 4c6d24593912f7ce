"""A training set of the masks that a run chose, in which what is not sure is to be ignored (255).

It has the frames on which some object is sure::

    Annotations/<video>/00000.png   the chosen masks
    JPEGImages/<video>              a link to the frames
    weights.json                    video -> frame -> object id -> weight in the loss

Nothing is sure before the last object is given: until then nobody can say whether it is absent.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ensemble.fusion.frame_loop import MemberFrames, read_frames
from mose.layout import ANNOTATIONS, IMAGES
from mose.masks import VOID, read_mask, write_mask
from selection.evidence import PSEUDO_LABEL
from selection.record import SelectionRecord
from selection.spans import candidate_at
from stseg.errors import InputError
from stseg.files import appearing, write_json
from stseg.progress import progress
from study.rounds.options import WEIGHTS, RoundsOptions
from study.rounds.source import FinishedRun


@dataclass(frozen=True)
class JudgedFrame:
    """The chosen masks of one frame, as far as they are sure.

    name      is its file stem
    labels    ``(H, W) uint8``, ids; 255 is to be ignored
    weights   say how much each object's mask counts, by id, in [0, 1]; 1 where it is given
    sure      says whether there is something to learn from it
    """

    name: str
    labels: np.ndarray
    weights: Mapping[int, float]
    sure: bool


def write_training_set(
    source: FinishedRun,
    videos: Sequence[str],
    options: RoundsOptions,
    target: Path,
    least: int = 2,
) -> None:
    """Write a training set, whole or not at all.

    least   frames that have to be sure, besides those with given masks all; a video with fewer is
            left out

    `InputError` where all videos are.
    """
    with appearing(target) as folder:
        weights: dict[str, dict[str, dict[str, float]]] = {}
        (folder / IMAGES).mkdir()
        for name in progress(videos, len(videos), "videos"):
            frames = _write_sure(source, name, options, folder / ANNOTATIONS / name)
            video = source.dataset.video(name)
            given = {video.frame_names[t] for t in (*video.prompts, *video.corrections)}
            if len(frames) < least or frames.keys() <= given:
                shutil.rmtree(folder / ANNOTATIONS / name)
                continue
            weights[name] = frames
            source.link_frames(name, folder)
        if not weights:
            raise InputError(
                f"no video of run {source.run.root} has {least} frames with a mask of an expected"
                f" J of {options.quality}: lower rounds.quality"
            )
        write_json(folder / WEIGHTS, weights)


def _write_sure(
    source: FinishedRun, name: str, options: RoundsOptions, folder: Path
) -> dict[str, dict[str, float]]:
    """Write the sure frames of a video; frame -> object id -> weight."""
    folder.mkdir(parents=True)
    weights = {}
    for frame in judged_frames(source, name, options):
        if frame.sure:
            write_mask(folder / f"{frame.name}.png", frame.labels)
            weights[frame.name] = {str(n): round(w, 4) for n, w in frame.weights.items()}
    return weights


def judged_frames(source: FinishedRun, name: str, options: RoundsOptions) -> Iterator[JudgedFrame]:
    """The frames of a video, one at a time."""
    record, run = source.records[name], source.run
    with source.opened(name, source.names_in(name)) as members:
        last_given = max(members.video.prompts)
        for frame in read_frames(members):
            frame.gather(members.names).judge()
            chosen, fused = (
                read_mask(folder / f"{frame.name}.png", binary=False)
                for folder in (run.masks(name), run.pseudo_labels(name))
            )
            weights = weights_of(expected_quality(frame, chosen, record, options), options)
            sure = frame.index >= last_given and any(weights.values())
            ignored = np.ones(chosen.shape, bool)
            if sure:
                ignored = ignored_pixels(frame, chosen, weights, options) | (chosen != fused)
                ignored &= ~fixed_pixels(frame, chosen)
            yield JudgedFrame(frame.name, np.where(ignored, VOID, chosen), weights, sure)


def expected_quality(
    frame: MemberFrames, chosen: np.ndarray, record: SelectionRecord, options: RoundsOptions
) -> dict[int, float]:
    """Object id -> expected J of its chosen mask; the pseudo-label's is that of the best member.

    1 where it is given. 0 where the mask is empty and less than ``options.quality`` of the
    members' say is for that: an object that is overlooked is no object that is absent.
    """
    names = frame.members.names
    track = frame.tracks[names]
    quality, say = track.quality(frame.known), track.weigh(frame.known)
    expected = {}
    for column, object_id in enumerate(frame.known):
        candidate = candidate_at(record.plan[object_id], frame.index)
        rows = slice(None) if candidate == PSEUDO_LABEL else [names.index(candidate)]
        expected[object_id] = float(quality[rows, column].max())
        if not (chosen == object_id).any():
            empty = np.array([object_id not in regions.areas for regions in frame.regions])
            if say[empty, column].sum() < options.quality * say[:, column].sum():
                expected[object_id] = 0.0
    given = frame.members.video.given(frame.index)
    return expected | dict.fromkeys((*given.new, *given.corrected) if given else (), 1.0)


def weights_of(expected: Mapping[int, float], options: RoundsOptions) -> dict[int, float]:
    """Object id -> weight in [0, 1]: 0 below ``options.quality``, and from there up to 1."""
    least = options.quality
    if not options.weighted or least == 1:
        return {n: float(value >= least) for n, value in expected.items()}
    return {n: max(value - least, 0.0) / (1 - least) for n, value in expected.items()}


def ignored_pixels(
    frame: MemberFrames, chosen: np.ndarray, weights: Mapping[int, float], options: RoundsOptions
) -> np.ndarray:
    """``(H, W) bool``: what too little of the members' say stands behind, and all that anybody
    gives to an object that is not sure."""
    say = frame.tracks[frame.members.names].weigh(frame.known).mean(axis=1)
    behind = np.zeros(chosen.shape, np.float64)
    for share, regions in zip(say / say.sum(), frame.regions, strict=True):
        behind += share * (regions.ids == chosen)
    ignored = behind < options.agreed - 1e-9
    unsure = [n for n, weight in weights.items() if not weight]
    if unsure:
        for ids in (chosen, *(regions.ids for regions in frame.regions)):
            ignored |= np.isin(ids, unsure)
    return ignored


def fixed_pixels(frame: MemberFrames, chosen: np.ndarray) -> np.ndarray:
    """``(H, W) bool``: what is known of a frame because it is given."""
    video = frame.members.video
    if frame.index == min(video.prompts):
        return np.ones(chosen.shape, bool)
    given = video.given(frame.index)
    return np.isin(chosen, (*given.new, *given.corrected) if given else ())
