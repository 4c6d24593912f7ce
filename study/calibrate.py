"""Measure an ensemble on a labelled split, and store what helps to choose without labels.

    python -m selection.calibrate --run RUN --labels Annotations --name mine
    python -m selection.calibrate --run RUN --unlabelled --name mine

Measures each member's J&F (its prior), fits its confidence to its accuracy, the expected quality
of masks, and how sure selections are, all from the predictions that the run kept (``--keep-soft``).
A fitted part is kept only if cross-validation over videos shows that it gains.

Without labels it corrects the priors alone, by how far the members agree over a finished run, and
by how far their masks look like the objects.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mose.readers.lists import NameList, read_names
from selection.calibration import FOLDER, Calibration
from selection.evidence import Evidence
from selection.fitting import LEVEL
from selection.policies import SelectionOptions, policies_help, policies_to_compare
from selection.selectors import select
from selection.statistics import mean_score, paired_gain
from stseg.cli import EXIT_OK, CommandParser, counted, print_line
from stseg.errors import InputError
from stseg.tables import format_table
from study.crossfit import (
    MIN_VIDEOS,
    Gain,
    calibrations,
    fit_choice,
    measure_by_fold,
    measure_members,
    with_choice,
)
from study.results import baselines, evaluate, judged

if TYPE_CHECKING:
    from study.stored_runs import Study

LAYOUT = """\
what is written:
  configs/priors/<name>.json     priors, confidence curves, mask quality, risk, how sure

use it in a run's configuration, or on the command line:
  --set calibration=<name>

the run itself, started again with it, is finished again without running a network, if it kept
its predictions (--keep-soft)

the file of --videos has the name of a video per line: for MOSE the hold-out of the train
split that no member was trained on."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser("selection.calibrate", __doc__, epilog=f"{LAYOUT}\n\n{policies_help()}")
    p.add_argument("--run", required=True, help="the run folder")
    known = p.add_mutually_exclusive_group()
    known.add_argument("--labels", nargs="?", const="Annotations", help="folder of full labels")
    known.add_argument(
        "--unlabelled", action="store_true", help="correct the priors by the masks alone"
    )
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
    if a.unlabelled:
        made, lines = calibrate_unlabelled(a.run, videos, path.stem)
    else:
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

    def fused(known: Mapping[str, Calibration] | None) -> list[Evidence]:
        return [made[0] for made in gather(opened, [setup], known, processes).values()]

    # First as the members are, then each video as the other folds say that they are.
    raw = fused(None)
    by_fold = dict(zip(opened.videos, measure_by_fold(raw), strict=True))
    plain = fused({video: replace(made, curves={}) for video, made in by_fold.items()})
    measured = measure_members(raw, name, source_of(opened))
    kept, told = keep_curves(plain, fused(by_fold))
    whole, lines = fit(kept, measured, opened.config.selection)
    return (whole if kept is not plain else replace(whole, curves={})), [told, *lines]


def calibrate_unlabelled(
    root: str | Path, videos: Sequence[str] | NameList = (), name: str = "calibration"
) -> tuple[Calibration, list[str]]:
    """The calibration that the finished run in ``root`` had, if any, with priors corrected by what
    all its videos show, and the lines to print about it."""
    from ensemble.config import calibration_of
    from ensemble.priors import judge_run
    from study.stored_runs import open_finished

    opened = open_finished(root, videos)
    worth = judge_run(opened.config, opened.run, opened.videos)
    before = calibration_of(opened.config) or Calibration(name, {}, {})
    priors = {m: round(float(p), 4) for m, p in zip(worth.members, worth.priors, strict=True)}
    made = replace(before, name=name, source=source_of(opened), priors=priors)
    columns = (worth.given, worth.seen, worth.priors)
    rows = [
        [member, *(f"{100 * column[row]:.1f}" for column in columns)]
        for row, member in enumerate(worth.members)
    ]
    said = "speak clearly" if worth.contradicts else "do not speak clearly"
    return made, [
        format_table(["member", "prior", "by this run", "corrected"], rows),
        f"the masks of {counted(worth.videos, 'video')} {said} against the priors (against right"
        f" ones, as clearly in {max(100 * worth.probability, 0.01):.2g} of 100 runs);"
        f" {100 * worth.share:.0f} % of the difference is made up",
    ]


def keep_curves(
    plain: Sequence[Evidence], curved: Sequence[Evidence]
) -> tuple[Sequence[Evidence], str]:
    """The evidence that was fused with confidence curves if they pay, else that without; and a
    sentence that says so."""
    both = [[evidence.worth()[-1] for evidence in videos] for videos in (curved, plain)]
    gain = Gain(*paired_gain(*both))
    verdict = "kept" if gain.clear else "left out"
    told = f"confidence curves: pseudo-label {gain.words()} in cross-validation; {verdict}"
    return (curved if gain.clear else plain), told


def fit(
    videos: Sequence[Evidence], measured: Calibration, own: SelectionOptions
) -> tuple[Calibration, list[str]]:
    """The calibration with what chooses and what is said of it, and lines on what they are worth in
    cross-validation over videos.

    videos   are each fused with what the other folds tell of the members
    """
    given = calibrations(videos, None, own.risk / 100)
    base = baselines(videos)
    best, oracle = mean_score(base.members[base.best]), mean_score(base.oracle_video)
    rows = []
    for policy in policies_to_compare(videos, own.policy):
        options = replace(own, policy=policy, granularity="video")
        result = evaluate("", videos, options, given, None)
        mean = mean_score(result.truths)
        ece = result.videos.error if result.videos else float("nan")
        rows.append([policy, f"{100 * mean:.1f}", f"{100 * (oracle - mean):.1f}", f"{ece:.2f}"])
    choices = [select(e, own, c) for e, c in zip(videos, given, strict=True)]
    tables = judged(list(zip(videos, choices, given, strict=True)))
    if not tables:
        raise InputError("no video has a labelled frame to score: give labels of every frame")
    choice = fit_choice(videos, own.risk / 100)
    sureness = {level: table.fit() for level, table in tables.items()}
    whole = replace(with_choice(measured, choice), sureness=sureness)
    members = [[m, f"{100 * p:.1f}"] for m, p in measured.priors.items()]
    told = [
        format_table(["member", "J&F"], members),
        f"best single {base.best} {100 * best:.1f}, oracle per video {100 * oracle:.1f}",
        choice.sentence(),
        "in cross-validation over videos:",
        format_table(["policy", "J&F", "regret", "ECE"], rows),
        f"intervals of {100 * LEVEL:.0f} %",
    ]
    return whole, told


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
        "labels": Path(config.data.labels).name if config.data.labels else None,
        "videos": len(opened.videos),
        "videos_hash": digest(*sorted(opened.videos)),
        "members": members,
        "fusion": config.fusion.rule,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
