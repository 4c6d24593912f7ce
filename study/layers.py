"""The layers of STSeg's comparison figure, from the predictions that a run kept."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ensemble.config import RunConfig, load_config
from ensemble.fusion.frame_loop import FusionSetup, VideoMembers, read_frames
from ensemble.plan import open_data
from ensemble.storage.predictions import Prediction, read_manifest
from ensemble.storage.run_directory import RunDirectory, existing_run
from mose import Video
from mose.masks import read_mask
from stseg.errors import InputError, unknown

COMPARED = {"box average": "boxes", "maximum": "max"}
"""Plain fusions shown beside the pseudo-label: name -> rule."""


def figure_layers(
    root: str | Path, name: str, frame: str, rules: tuple[str, ...] = ()
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The frame ``(H, W, 3) uint8``, and by name the ids ``(H, W) uint8`` of every member, the
    box average, the maximum, and, of a finished video, what the run wrote: the pseudo-label and
    the selection.

    frame   its name ("00012") or index ("12");  rules  more fusion rules to show

    Raises `InputError` for a folder that is no run, for a video or frame that is not there,
    and where the run did not keep its predictions.
    """
    run = existing_run(root)
    config = load_config(run.config)
    dataset = open_data(config, Path("runs"))
    if name not in dataset.videos:
        raise unknown("video", name, dataset.videos, f" of run {run.root}")
    video = dataset.video(name)
    index = frame_index(video.frame_names, frame, name)
    with ExitStack() as stack:
        members = open_members(config, run, video, stack)
        for at in read_frames(members):
            at.gather(members.names).judge()  # its members' quality counts for later frames
            if at.index == index:
                break
    layers = dict(zip(members.names, (masks.ids for masks in at.regions), strict=True))
    for title, rule in {**COMPARED, **{rule: rule for rule in rules}}.items():
        options = dataclasses.replace(config.fusion, rule=rule)
        layers[title] = at.fuse(FusionSetup(members.names, options)).ids
    written = {"pseudo-label": run.pseudo_labels(name), "selected": run.masks(name)}
    for title, folder in written.items():
        if (path := folder / f"{at.name}.png").is_file():
            layers[title] = read_mask(path, binary=False)
    return video[index], layers


def open_members(
    config: RunConfig, run: RunDirectory, video: Video, stack: ExitStack
) -> VideoMembers:
    """The members whose prediction of ``video`` the run kept, open until ``stack`` ends.

    Raises `InputError` where it kept none.
    """
    kept = [m.name for m in config.members if read_manifest(run.prediction(m.name, video.name))]
    if not kept:
        raise InputError(
            f"run {run.root} kept no predictions of video {video.name}: run it again with"
            " --keep-soft"
        )
    predictions = [Prediction(run.current_prediction(name, video.name)) for name in kept]
    for prediction in predictions:
        stack.callback(prediction.close)
    return VideoMembers.of_run(config, video, tuple(kept), predictions)


def frame_index(names: tuple[str, ...], frame: str, video: str) -> int:
    """Position of a frame given by its name, or by its number."""
    if frame in names:
        return names.index(frame)
    if frame.isascii() and frame.isdigit() and int(frame) < len(names):
        return int(frame)
    raise InputError(
        f"video {video} has no frame {frame}: give a name from {names[0]} to {names[-1]}, or a"
        f" number below {len(names)}"
    )
