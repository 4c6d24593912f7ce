"""What calibration is worth: five-fold cross-validation over the videos of finished runs.

    python -m benchmarks.calibrated RUN [RUN ...] --labels Labels
    python -m benchmarks.calibrated RUN --labels Labels --ensembles CONFIG [CONFIG ...]

Each RUN is a finished run with labels that kept its predictions (``--keep-soft``). A CONFIG is a
run's configuration whose members the run has. No model runs.

Every video is fused with the priors that its members have on the videos of the other four folds,
and chosen by what was fitted on these (``selection.calibrate`` without the confidence curves).
``--as-fused`` leaves the fusion as the run made it, which takes seconds. ``--together`` takes the
folds through the videos of all runs, so that one calibration serves all, and small sets, too.

``--fitted-on RUN ...`` fits on all videos of these runs, as they were fused, and judges on others.

A row has J&F of the best single member in hindsight; of the member that is best on the other
folds; of the pseudo-label; of what `safe` chooses, with its distance from the best single member
and the 95 % interval of that; of the oracle by object; then the calibration error of the stated
probabilities beside the one that true statements would have, for videos and for objects, and the
share of truths inside the 80 % intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from ensemble.config import load_config
from ensemble.fusion.frame_loop import FusionSetup
from selection.calibration import Calibration
from selection.evidence import Evidence
from selection.policies import SelectionOptions
from selection.risk import starting_member
from selection.statistics import mean_score, paired_interval
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.tables import format_table
from study.calibrate import fit
from study.crossfit import calibrations, measure_by_fold
from study.results import Result, Stated, baselines, evaluate
from study.stored_runs import Study, gather, open_study

HEADS = (
    "ensemble", "videos", "best single", "best by folds", "pseudo-label", "chosen", "gain", "95 %",
    "oracle object", "ECE", "chance", "objects", "chance", "held",
)  # fmt: skip


def stored_evidence(study: Study) -> list[Evidence]:
    """As the run was finished."""
    return [Evidence.load(study.run.evidence_path(name)) for name in study.videos]


def with_priors(evidence: Evidence, known: Calibration) -> Evidence:
    """Evidence of the same fusion, with other priors of the members."""
    priors = [known.priors[name] for name in evidence.members]
    return replace(evidence, priors=np.asarray([*priors, max(priors)]), memo={})


@dataclass(frozen=True)
class Fold:
    """The videos of a run, each with the priors of the members on the videos of other folds."""

    study: Study
    videos: list[Evidence]
    known: list[Calibration]

    def fused_again(
        self, ensembles: Sequence[tuple[str, ...]], processes: int | None
    ) -> list[list[Evidence]]:
        """Per ensemble the evidence of every video, fused with these priors."""
        setups = [FusionSetup(members, self.study.config.fusion) for members in ensembles]
        known = dict(zip(self.study.videos, self.known, strict=True))
        made = gather(self.study, setups, known, processes)
        return [[made[name][k] for name in self.study.videos] for k in range(len(setups))]

    def as_fused(self) -> list[Evidence]:
        """The evidence of the run's own fusion."""
        return [with_priors(e, known) for e, known in zip(self.videos, self.known, strict=True)]


def by_folds(studies: Sequence[Study]) -> list[Fold]:
    """The folds go through the videos of all ``studies`` together."""
    raw = [stored_evidence(study) for study in studies]
    known = [replace(made, curves={}) for made in measure_by_fold(list(chain.from_iterable(raw)))]
    stops = np.cumsum([len(videos) for videos in raw])
    return [
        Fold(study, videos, known[stop - len(videos) : stop])
        for study, videos, stop in zip(studies, raw, stops, strict=True)
    ]


def rows_of(sets: Mapping[str, Sequence[Evidence]]) -> list[list[str]]:
    """A line of the table for each set; what is fitted is fitted on the folds of all together."""
    every, options = list(chain.from_iterable(sets.values())), SelectionOptions()
    given = iter(calibrations(every, None))
    return [
        row_of(
            name, videos, evaluate(name, videos, options, list(islice(given, len(videos))), None)
        )
        for name, videos in sets.items()
    ]


def row_of(name: str, videos: Sequence[Evidence], result: Result) -> list[str]:
    """A line of the table."""
    base = baselines(videos)
    by_fold = [e.truth()[starting_member(e)] for e in videos]
    best = base.members[base.best]
    gain, low, high = paired_interval(result.truths, best)
    scores = (best, by_fold, [e.worth()[-1] for e in videos], result.truths)
    return [
        name, str(len(videos)), *(f"{100 * mean_score(score):.1f}" for score in scores),
        f"{100 * gain:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}",
        f"{100 * mean_score(base.oracle_object):.1f}",
        *told(result.videos), *told(result.objects),
        f"{100 * result.videos.held:.0f}" if result.videos else "",
    ]  # fmt: skip


def fitted_on(studies: Sequence[Study]) -> Calibration:
    """What choosing and saying how sure need, by all videos of some runs as they were fused."""
    videos = list(chain.from_iterable(stored_evidence(study) for study in studies))
    return fit(videos, Calibration("fitted", {}, {}), SelectionOptions())[0]


def told(stated: Stated | None) -> list[str]:
    """Calibration error, and that of chance."""
    return [f"{stated.error:.2f}", f"{stated.chance:.2f}"] if stated else ["", ""]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.calibrated", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("runs", nargs="+", help="finished runs that kept their predictions")
    p.add_argument("--labels", help="folder of full labels (default: the run's own)")
    p.add_argument("--ensembles", nargs="+", default=[], metavar="CONFIG")
    p.add_argument("--as-fused", action="store_true", help="leave the fusion as the run made it")
    p.add_argument("--fitted-on", nargs="+", default=[], metavar="RUN", help="in place of folds")
    p.add_argument("--together", action="store_true", help="one calibration for all runs")
    p.add_argument("--processes", type=int, help="at once (default: one per core)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    a = parser().parse_args(argv)
    studies = [open_study(root, a.labels) for root in a.runs]
    ensembles = {
        Path(path).stem: tuple(member.name for member in load_config(path).members)
        for path in a.ensembles
    }
    rows = []
    if a.fitted_on:
        known = fitted_on([open_study(root, None) for root in a.fitted_on])
        for study in studies:
            name, videos = study.run.root.name, stored_evidence(study)
            given = [known] * len(videos)
            result = evaluate(name, videos, SelectionOptions(), given, known)
            rows.append(row_of(name, videos, result))
        print_line(format_table(HEADS, rows))
        return EXIT_OK
    for part in [studies] if a.together else [[study] for study in studies]:
        sets: dict[str, list[Evidence]] = {}
        for fold in by_folds(part):
            own = {fold.study.run.root.name: fold.study.members}
            if a.as_fused:
                sets[fold.study.run.root.name] = fold.as_fused()
                continue
            listed = ensembles or own
            sets |= zip(listed, fold.fused_again(list(listed.values()), a.processes), strict=True)
        for group in [sets] if a.together else [{name: sets[name]} for name in sets]:
            rows += rows_of(group)
    print_line(format_table(HEADS, rows))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
