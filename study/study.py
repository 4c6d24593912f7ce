"""Measures what fusion and selection are worth: every rule, policy and granularity on one labelled
run.

    python -m selection.study RUN --labels Labels

Works on the predictions that a run kept (``--keep-soft``); no model runs again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selection.calibration import Calibration, load_calibration
from selection.evidence import Evidence
from selection.policies import (
    SelectionOptions,
    granularities_of,
    policies_help,
    policies_to_compare,
)
from stseg.cli import EXIT_OK, CommandParser, print_line
from stseg.errors import InputError
from study.choice import choice_report
from study.crossfit import calibrations
from study.results import Result, baselines, evaluate
from study.table import StudyReport, compare

LAYOUT = """\
what is written:
  RUN/study/study.txt  study.csv  study.json    the table
  RUN/study/bars.svg   calibration.svg          the plots
  RUN/study/evidence/                           kept, so that the next study takes seconds

What `safe` was fitted to and the stated probabilities come from the calibration that the run names;
without one they are fitted here, by cross-validation over the run's videos."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser("selection.study", __doc__, epilog=f"{LAYOUT}\n\n{policies_help()}")
    p.add_argument("run", help="the run folder")
    p.add_argument("--labels", nargs="?", const="Annotations", help="folder of full labels")
    p.add_argument("--rules", nargs="+", metavar="RULE", help="only these fusion rules")
    p.add_argument("--videos", nargs="+", default=[], metavar="NAME", help="only these (patterns)")
    p.add_argument(
        "--calibration", help="instead of the run's own; 'none': fit by cross-validation"
    )
    p.add_argument("--processes", type=int, help="at once (default: one per core)")
    p.add_argument("--no-leave-one-out", action="store_true", help="only all members together")
    p.add_argument("--output", help="folder to write (default: RUN/study)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, evaluate, write; returns the exit code."""
    a = parser().parse_args(argv)
    if a.processes is not None and a.processes < 1:
        raise InputError(f"--processes is {a.processes}, expected at least 1")
    scope = StudyScope(a.labels, a.rules, a.videos, a.calibration, not a.no_leave_one_out)
    report = study(a.run, scope, a.processes)
    out = Path(a.output or Path(a.run) / "study")
    report.save(out)
    print_line(report.table())
    print_line(f"{out / 'study.txt'}, study.csv, study.json, bars.svg, calibration.svg")
    return EXIT_OK


@dataclass(frozen=True)
class StudyScope:
    """What a study is about.

    labels          is the folder of full labels; None: the run's own
    rules           are the fusion rules to try beside the run's own; None: all
    videos          are names or patterns of the videos; none: all of the run
    calibration     replaces the run's own; ``none``: everything is fitted by cross-validation
    leave_one_out   studies the ensemble without each of its members, too
    """

    labels: str | None = None
    rules: Sequence[str] | None = None
    videos: Sequence[str] = ()
    calibration: str | None = None
    leave_one_out: bool = True


def study(root: str | Path, scope: StudyScope, processes: int | None = None) -> StudyReport:
    """Evaluate everything on the run in ``root``, in so many processes (None: one per core)."""
    from ensemble.fusion.frame_loop import FusionSetup
    from ensemble.fusion.rules import RULES
    from stseg.config import one_of
    from study.stored_runs import gather, open_study

    opened = open_study(root, scope.labels, scope.videos)
    for name in opened.left_out:
        print_line(f"left out: video {name}, no stored prediction of {opened.left_out[name]}")
    for rule in scope.rules or ():
        one_of("--rules", rule, RULES)
    stored = scope.calibration or opened.config.calibration
    known = load_calibration(stored) if stored and stored != "none" else None
    fusion, members = opened.config.fusion, opened.members
    chosen = tuple(dict.fromkeys((fusion.rule, *(scope.rules or RULES))))
    ways = {rule: FusionSetup(members, replace(fusion, rule=rule)) for rule in chosen}
    if scope.leave_one_out and len(members) > 2:
        for member in members:
            rest = tuple(m for m in members if m != member)
            ways[f"{fusion.rule} without {member}"] = FusionSetup(rest, fusion)
    by_video = gather(opened, list(ways.values()), known, processes)
    by_way = {name: [by_video[video][k] for video in opened.videos] for k, name in enumerate(ways)}
    return report_of(by_way, fusion.rule, opened.config.selection, known)


def report_of(
    by_way: Mapping[str, Sequence[Evidence]],
    main_way: str,
    own: SelectionOptions,
    known: Calibration | None,
) -> StudyReport:
    """Pure: from the evidence of every way to the table."""
    results: list[Result] = []
    for way, videos in by_way.items():
        main = way == main_way
        # Fits are most of a study's time: only the run's own fusion has them.
        given = calibrations(videos, known, own.risk / 100) if main else [known] * len(videos)
        for policy in policies_to_compare(videos, own.policy):
            for granularity in granularities_of(policy):
                options = replace(own, policy=policy, granularity=granularity)
                results.append(evaluate(way, videos, options, given, known, main))
    bases = {way: baselines(videos) for way, videos in by_way.items()}
    report = compare(results, bases, main_way, own, known.name if known else None)
    return replace(report, choice=choice_report(by_way[main_way]))
