"""Measure an ensemble on a labelled split, and store what helps to choose without labels.

    python -m selection.calibrate --run RUN --labels Annotations --name mine

Measures each member's J&F (its prior), fits its confidence to its accuracy, the recommender,
and how sure selections are, all from the predictions that the run kept (``--keep-soft``).
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mose.readers.lists import NameList, read_names
from selection.calibration import FOLDER, Calibration
from selection.evidence import Evidence, mean_over_objects
from selection.fitting import LEVEL, fit_curve, fit_prior, fit_recommender, fit_sureness
from selection.models import Curve, Sureness
from selection.outcome import selected_truth
from selection.policies import SelectionOptions, policies_help, policies_to_compare
from selection.risk import measure_risk
from selection.selectors import GRANULARITIES, Choice, select
from selection.statistics import mean_score
from selection.sureness import BEST_WITHIN, keys, sure_features
from stseg.cli import EXIT_OK, CommandParser, print_line
from stseg.errors import InputError
from stseg.tables import format_table
from study.results import MIN_VIDEOS, baselines, calibrations, evaluate

if TYPE_CHECKING:
    from study.stored_runs import Study

LAYOUT = """\
what is written:
  configs/priors/<name>.json     priors, confidence curves, recommender, how sure

use it in a run's configuration, or on the command line:
  --set calibration=<name> --set selection.policy=recommender

the file of --videos has the name of a video per line: for MOSE the hold-out of the train
split that no member was trained on."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser("selection.calibrate", __doc__, epilog=f"{LAYOUT}\n\n{policies_help()}")
    p.add_argument("--run", required=True, help="the run folder")
    p.add_argument("--labels", nargs="?", const="Annotations", help="folder of full labels")
    p.add_argument("--videos", metavar="FILE", help="a file with the name of a video per line")
    p.add_argument("--name", help="of the calibration (default: the run folder's name)")
    p.add_argument("--output", help="file to write instead")
    p.add_argument("--processes", type=int, help="at once (default: one per core)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, fit, write; returns the exit code."""
    a = parser().parse_args(argv)
    videos = read_names(a.videos) if a.videos else ()
    name = (a.name or Path(a.run).resolve().name).removesuffix(".json")
    path = Path(a.output) if a.output else FOLDER / f"{name}.json"
    made, lines = calibrate(a.run, a.labels, videos, path.stem, a.processes)
    made.save(path)
    for line in lines:
        print_line(line)
    print_line(f"{path}: use it with --set calibration={a.output or name}")
    return EXIT_OK


def calibrate(
    root: str | Path,
    labels: str | None = None,
    videos: Sequence[str] | NameList = (),
    name: str = "calibration",
    processes: int | None = None,
) -> tuple[Calibration, list[str]]:
    """The calibration of the run in ``root``, and the lines to print about it."""
    from ensemble.fusion.frame_loop import FusionSetup
    from study.stored_runs import gather, open_study

    opened = open_study(root, labels, videos)
    if len(opened.videos) < MIN_VIDEOS:
        raise InputError(
            f"run {root} has {len(opened.videos)} labelled videos with predictions: give at"
            f" least {MIN_VIDEOS} to calibrate with"
        )
    setup = FusionSetup(opened.members, opened.config.fusion)
    # First as the members are, then once more as they will be weighted.
    raw = [made[0] for made in gather(opened, [setup], None, processes).values()]
    measured = measure_members(raw, name, source_of(opened))
    fused = [made[0] for made in gather(opened, [setup], measured, processes).values()]
    return fit(fused, measured, opened.config.selection)


def measure_members(
    videos: Sequence[Evidence], name: str, source: Mapping[str, Any]
) -> Calibration:
    """Priors and confidence curves."""
    priors: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for row, member in enumerate(videos[0].members):
        priors[member] = round(fit_prior([e.truth()[row] for e in videos]), 4)
        said = np.concatenate([e["confidence"][:, row].ravel() for e in videos])
        true = np.concatenate([e["truth_j"][:, row].ravel() for e in videos])
        curves[member] = fit_curve(said, true)
    return Calibration(name, source, priors, curves)


def fit(
    videos: Sequence[Evidence], measured: Calibration, own: SelectionOptions
) -> tuple[Calibration, list[str]]:
    """The calibration with the recommender and the forecasts added, and a table of what they are
    worth in cross-validation over videos."""
    given = calibrations(videos, None)
    base = baselines(videos)
    best, oracle = mean_score(base.members[base.best]), mean_score(base.oracle_video)
    sureness: dict[str, Sureness] = {}
    rows = []
    for policy in policies_to_compare(videos, own.policy):
        for granularity in GRANULARITIES:
            options = replace(own, policy=policy, granularity=granularity)
            choices = [select(e, options, c) for e, c in zip(videos, given, strict=True)]
            for key, model in zip(keys(options), fit_both(videos, choices), strict=True):
                sureness[key] = model
            if granularity == "video":
                result = evaluate("", videos, options, given, None)
                mean = mean_score(result.truths)
                ece = result.videos.error if result.videos else float("nan")
                rows.append(
                    [policy, f"{100 * mean:.1f}", f"{100 * (oracle - mean):.1f}", f"{ece:.2f}"]
                )
    whole = replace(
        measured,
        recommender=fit_recommender(videos),
        sureness=sureness,
        risk=measure_risk(videos),
    )
    assert whole.recommender is not None
    members = [[m, f"{100 * p:.1f}"] for m, p in measured.priors.items()]
    told = [
        format_table(["member", "J&F"], members),
        f"best single {base.best} {100 * best:.1f}, oracle per video {100 * oracle:.1f}",
        "in cross-validation over videos:",
        format_table(["policy", "J&F", "regret", "ECE"], rows),
        f"recommender: error {100 * whole.recommender.linear.error:.1f} J&F (root mean square);"
        f" intervals of {100 * LEVEL:.0f} %",
    ]
    return whole, told


def fit_both(videos: Sequence[Evidence], choices: Sequence[Choice]) -> tuple[Sureness, Sureness]:
    """Forecasts for videos and for objects, fitted on selections with labels."""
    rows, truths, best = [], [], []
    whole, whole_truth, whole_best = [], [], []
    for evidence, choice in zip(videos, choices, strict=True):
        taken, table = selected_truth(evidence, choice), evidence.worth()
        known = ~np.isnan(taken)
        if not known.any():
            continue
        values = sure_features(evidence, choice)
        rows.append(values[known])
        truths.append(taken[known])
        best.append((taken >= np.nan_to_num(table).max(axis=0) - BEST_WITHIN)[known])
        whole.append(values.mean(axis=0))
        whole_truth.append(float(np.nanmean(taken)))
        reached = float(np.nanmax(mean_over_objects(table)))
        whole_best.append(bool(whole_truth[-1] >= reached - BEST_WITHIN))
    if not whole:
        raise InputError("no video has a labelled frame to score: give labels of every frame")
    video = fit_sureness(np.stack(whole), np.asarray(whole_truth), np.asarray(whole_best))
    return video, fit_sureness(*(np.concatenate(part) for part in (rows, truths, best)))


def source_of(opened: Study) -> dict[str, Any]:
    """Where a calibration comes from, in enough detail to know whether it still fits."""
    from ensemble.storage.predictions import read_manifest
    from stseg.files import digest

    members = {}
    for member in opened.members:
        manifest = read_manifest(opened.run.prediction(member, opened.videos[0])) or {}
        kept = ("adapter", "weights_sha256", "options")
        members[member] = {key: manifest.get(key) for key in kept}
    config = opened.config
    return {
        "data": Path(config.data.dataset).name,
        "split": config.data.split,
        "labels": Path(str(config.data.labels)).name,
        "videos": len(opened.videos),
        "videos_hash": digest(*sorted(opened.videos)),
        "members": members,
        "fusion": config.fusion.rule,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
