"""The layers of STSeg's comparison figure, from the predictions that a run kept."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ensemble.config import calibration_of, load_config, prior_of
from ensemble.finishing.scoring import calibrated
from ensemble.finishing.video import with_given
from ensemble.fusion.frame import FusionOptions, Gathered
from ensemble.plan import open_data
from ensemble.storage.predictions import Prediction, read_manifest
from ensemble.storage.run_directory import RunDirectory
from mose.dataset import Dataset
from mose.masks import read_mask
from selection.metrics import Regions
from stseg.errors import InputError, unknown

COMPARED = {"box average": "boxes", "maximum": "max"}
"""Plain fusions shown beside the pseudo-label: name -> rule."""


def figure_layers(
    root: str | Path, name: str, frame: str, rules: tuple[str, ...] = ()
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The frame ``(H, W, 3) uint8``, and by name the ids ``(H, W) uint8`` of every member, the
    box average, the maximum, the pseudo-label and the selection.

    frame   its name ("00012") or index ("12");  rules  more fusion rules to show

    Raises `InputError` for a folder that is no run, for a video or frame that is not there,
    and where the run did not keep its predictions.
    """
    run = RunDirectory(Path(root))
    if not (run.root / "config.yaml").is_file():
        raise InputError(f"{run.root} is no run folder (no config.yaml): give one")
    config = load_config(run.root / "config.yaml")
    dataset: Dataset = open_data(config, Path("runs"))
    if name not in dataset.videos:
        raise unknown("video", name, dataset.videos, f" of run {run.root}")
    video = dataset.video(name)
    index = frame_index(video.frame_names, frame, name)
    calibration = calibration_of(config)
    with ExitStack() as stack:
        members, priors, frames = [], [], []
        for member in config.members:
            folder = run.prediction(member.name, name)
            if read_manifest(folder) is None:
                continue
            prediction = Prediction(folder)
            stack.callback(prediction.close)
            curve = calibration.curves.get(member.name) if calibration else None
            members.append(member.name)
            priors.append(prior_of(member, calibration))
            frames.append(calibrated(prediction[index], curve))
    if not members:
        raise InputError(
            f"run {run.root} kept no predictions of video {name}: run it again with --keep-soft"
        )
    known = tuple(sorted(i for t in video.prompts if t <= index for i in video.prompts.ids(t)))
    regions = [Regions(frame.labels(video.height, video.width)) for frame in frames]
    gathered = Gathered(frames, regions, np.asarray(priors), known)
    layers = dict(zip(members, (masks.ids for masks in regions), strict=True))
    shown = {**COMPARED, **{rule: rule for rule in rules}, "pseudo-label": config.fusion.rule}
    for title, rule in shown.items():
        options: FusionOptions = dataclasses.replace(config.fusion, rule=rule)
        layers[title] = with_given(gathered.fuse(options).ids, video, index)
    selected = run.masks(name) / f"{video.frame_names[index]}.png"
    if selected.is_file():
        layers["selected"] = read_mask(selected, binary=False)
    return video[index], layers


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
