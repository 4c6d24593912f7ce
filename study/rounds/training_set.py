"""A training set of the masks that a run chose, in which what is not sure is to be ignored (255).

::

    Annotations/<video>/00000.png   the chosen masks
    JPEGImages/<video>              a link to the frames
    weights.json                    video -> frame -> object id -> expected J of its mask

A frame on which no object is sure is left out, so that no clip begins there, and so are the frames
before the last object is given: until then nobody can say whether it is absent.
"""

from __future__ import annotations

import os
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
from study.rounds.options import RoundsOptions
from study.rounds.source import FinishedRun


@dataclass(frozen=True)
class TrainingFrame:
    """One frame to learn from.

    name      is its file stem
    labels    ``(H, W) uint8``, ids; 255 is to be ignored
    quality   is the expected J of each object's mask, by id; 1 where it is given
    """

    name: str
    labels: np.ndarray
    quality: Mapping[int, float]


def write_training_set(
    source: FinishedRun, videos: Sequence[str], options: RoundsOptions, target: Path
) -> tuple[str, ...]:
    """Write the layout above, whole or not at all; returns the videos that have nothing sure
    besides their given masks, which are left out. `InputError` where all are."""
    left_out = []
    with appearing(target) as folder:
        weights: dict[str, dict[str, dict[str, float]]] = {}
        (folder / IMAGES).mkdir()
        for name in progress(videos, len(videos), "videos"):
            frames = _write_video(source, name, options, folder / ANNOTATIONS / name)
            if not frames:
                left_out.append(name)
                continue
            weights[name] = frames
            place = source.dataset.frames_of(name)
            os.symlink(place.resolve(), folder / IMAGES / place.name)
        if not weights:
            raise InputError(
                f"run {source.run.root} has no mask of an expected J of {options.quality}: lower"
                " rounds.quality"
            )
        write_json(folder / "weights.json", weights)
    return tuple(left_out)


def _write_video(
    source: FinishedRun, name: str, options: RoundsOptions, folder: Path
) -> dict[str, dict[str, float]]:
    """Write the labels of a video; frame -> object id -> expected J. Nothing where no frame but
    one with given masks is sure."""
    video = source.dataset.video(name)
    given = {video.frame_names[t] for t in (*video.prompts, *video.corrections)}
    folder.mkdir(parents=True)
    weights = {}
    for frame in training_frames(source, name, options):
        write_mask(folder / f"{frame.name}.png", frame.labels)
        weights[frame.name] = {str(n): round(value, 4) for n, value in frame.quality.items()}
    if weights.keys() <= given:
        shutil.rmtree(folder)
        return {}
    return weights


def training_frames(
    source: FinishedRun, name: str, options: RoundsOptions
) -> Iterator[TrainingFrame]:
    """The frames of a video from which there is something to learn, one at a time."""
    record, run = source.records[name], source.run
    with source.opened(name, source.names_in(name)) as members:
        first = max(members.video.prompts)
        for frame in read_frames(members):
            frame.gather(members.names).judge()
            if frame.index < first:
                continue
            quality = chosen_quality(frame, record)
            if max(quality.values(), default=0.0) < options.quality:
                continue
            chosen, fused = (
                read_mask(folder / f"{frame.name}.png", binary=False)
                for folder in (run.masks(name), run.pseudo_labels(name))
            )
            ignored = ignored_pixels(frame, chosen, quality, options) | (chosen != fused)
            ignored &= ~fixed_pixels(frame, chosen)
            yield TrainingFrame(frame.name, np.where(ignored, VOID, chosen), quality)


def chosen_quality(frame: MemberFrames, record: SelectionRecord) -> dict[int, float]:
    """Object id -> expected J of its chosen mask; the pseudo-label's is that of the best member."""
    names = frame.members.names
    quality = frame.tracks[names].quality(frame.known)
    expected = {}
    for column, object_id in enumerate(frame.known):
        candidate = candidate_at(record.plan[object_id], frame.index)
        rows = slice(None) if candidate == PSEUDO_LABEL else [names.index(candidate)]
        expected[object_id] = float(quality[rows, column].max())
    given = frame.members.video.given(frame.index)
    return expected | dict.fromkeys((*given.new, *given.corrected) if given else (), 1.0)


def ignored_pixels(
    frame: MemberFrames, chosen: np.ndarray, quality: Mapping[int, float], options: RoundsOptions
) -> np.ndarray:
    """``(H, W) bool``: what too little of the members' say stands behind, and all that anybody
    gives to an object that is not sure."""
    say = frame.tracks[frame.members.names].say(frame.known).mean(axis=1)
    behind = np.zeros(chosen.shape, np.float64)
    for share, regions in zip(say / say.sum(), frame.regions, strict=True):
        behind += share * (regions.ids == chosen)
    ignored = behind < options.agreed - 1e-9
    unsure = [n for n, value in quality.items() if value < options.quality]
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
