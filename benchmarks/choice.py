"""What fusion and choice are worth on stored predictions, in one table. No model runs.

    python -m benchmarks.choice RUN [RUN ...] --labels Labels
    python -m benchmarks.choice RUN --labels Labels --ensembles CONFIG [CONFIG ...]
    python -m benchmarks.choice RUN --labels Labels --stress
    python -m benchmarks.choice RUN --labels Labels --priors
    python -m benchmarks.choice RUN --labels Labels --ensembles CONFIG [CONFIG ...] --weakest 3

Each RUN is a run folder with labels that kept its predictions (``--keep-soft``). A CONFIG is a
run's configuration: its members, which the run has too, with the priors given there.

The first table has a row per ensemble: J&F of the best single member in hindsight, of the member
of the best prior, of the pseudo-label, of what each policy chooses, and both oracles; then, of
the object-frames without the object, how many the pseudo-label shows, and of those with it, how
many it has nothing of though the member of the best prior has something right.

``--stress`` adds a row per ensemble that was made worse: one member useless (every member in
turn, by noise, frozen, lost and empty; the mean and the worst are told), all but one, priors that
are permuted, equal, and off by 15, a copy of a member, a member that is always wrong.

``--priors`` adds the rows of wrong priors alone, each followed by one with the priors corrected
without labels by all videos of the run, as ``selection.calibrate --unlabelled`` does. ``--weakest``
adds a row per ensemble with so many of the run's other members, those of the lowest priors.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.ensembles import SpoiltPrediction
from ensemble.config import load_config, prior_of
from ensemble.fusion.frame_loop import FusionSetup, VideoMembers
from ensemble.storage.predictions import Prediction
from selection.evidence import Evidence
from selection.outcome import selected_truth
from selection.policies import SelectionOptions
from selection.selectors import select
from selection.statistics import mean_score
from selection.worth import Sight, judge
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.progress import Progress
from stseg.tables import format_table
from study.replay import evidence_of
from study.results import baselines
from study.stored_runs import Study, open_study

POLICIES = ("safe",)
USELESS = ("noise", "frozen", "lost", "empty")
OFF = 0.15
"""How far priors are off, up and down in turn."""


@dataclass(frozen=True, order=True)
class Seat:
    """A member in an ensemble.

    member  is the name of its stored prediction
    prior   is the J&F in (0, 1) that it is given
    way     is how its masks are spoilt, empty for not at all
    copy    tells equal seats apart
    """

    member: str
    prior: float
    way: str = ""
    copy: int = 0

    @property
    def name(self) -> str:
        return f"{self.member}|{self.prior:.6f}|{self.way}|{self.copy}"


@dataclass(frozen=True)
class Case:
    """An ensemble to measure: rows of the same ``group`` are told together."""

    group: str
    seats: tuple[Seat, ...]


def stressed(seats: tuple[Seat, ...]) -> Iterator[Case]:
    """The ensemble made worse in every way that is tried."""
    priors = [seat.prior for seat in seats]
    count = len(seats)
    best = int(np.argmax(priors))
    for k in range(count):
        others = seats[:k] + seats[k + 1 :]
        yield Case("without one", others)
        for way in USELESS:
            yield Case(f"one {way}", _with(seats, {k: way}))
    for keep in range(count):
        rest = [k for k in range(count) if k != keep]
        ways = {k: USELESS[n % len(USELESS)] for n, k in enumerate(rest)}
        yield Case("all but one useless", _with(seats, ways))
    yield from misjudged(seats)
    for k in range(count):
        yield Case("a copy added", (*seats, replace(seats[k], copy=1)))
    wrong = replace(seats[best], way="swapped", prior=float(np.mean(priors)), copy=1)
    yield Case("always wrong added", (*seats, replace(wrong, way="noise")))


def misjudged(seats: tuple[Seat, ...]) -> Iterator[Case]:
    """The ensemble with priors that are wrong."""
    priors, count = [seat.prior for seat in seats], len(seats)
    for turn in range(1, count):
        yield Case("priors permuted", _given(seats, np.roll(priors, turn)))
    yield Case("priors equal", _given(seats, [float(np.mean(priors))] * count))
    for first in (1, -1):
        signs = first * (-1.0) ** np.arange(count)
        off = np.clip(np.asarray(priors) + OFF * signs, 0.02, 0.98)
        yield Case("priors off by 15", _given(seats, off))


def corrected(study: Study, case: Case) -> Case:
    """The case with priors corrected by what all finished videos of the run show."""
    names = [seat.member for seat in case.seats]
    rows = [study.members.index(name) for name in names]
    every = [Evidence.load(path) for path in study.run.evidence_paths()]
    sights = [sight for e in every if (sight := Sight.of(e.part(rows)))]
    worth = judge(names, np.array([seat.prior for seat in case.seats]), sights)
    return Case(f"{case.group}, corrected", _given(case.seats, worth.priors))


def with_weakest(study: Study, case: Case, count: int) -> Case:
    """The case with ``count`` members of the run that have no seat, those of the lowest priors."""
    taken = {seat.member for seat in case.seats}
    own = [Seat(m.name, prior_of(m, None)) for m in study.config.members if m.name not in taken]
    weakest = sorted(own, key=lambda seat: seat.prior)[:count]
    return Case(f"{case.group} and the {count} weakest others", (*case.seats, *weakest))


def _with(seats: tuple[Seat, ...], ways: Mapping[int, str]) -> tuple[Seat, ...]:
    return tuple(replace(seat, way=ways.get(k, "")) for k, seat in enumerate(seats))


def _given(seats: tuple[Seat, ...], priors: Iterable[float]) -> tuple[Seat, ...]:
    return tuple(
        replace(seat, prior=float(prior)) for seat, prior in zip(seats, priors, strict=True)
    )


def measure_video(study: Study, name: str, cases: Sequence[Case]) -> list[Evidence]:
    """The evidence of one video for every case."""
    seats = sorted({seat for case in cases for seat in case.seats})
    video = study.dataset.video(name)
    labels = study.dataset.label_masks(name, video)
    with ExitStack() as stack:
        stored = {
            seat.member: Prediction(study.run.current_prediction(seat.member, name))
            for seat in seats
        }
        for prediction in stored.values():
            stack.callback(prediction.close)
        predictions = [
            SpoiltPrediction(stored[seat.member], seat.way, seat.name) if seat.way
            else stored[seat.member]
            for seat in seats
        ]  # fmt: skip
        names = tuple(seat.name for seat in seats)
        priors = np.asarray([seat.prior for seat in seats])
        members = VideoMembers(video, names, predictions, priors)
        options = study.config.fusion
        setups = [FusionSetup(tuple(s.name for s in case.seats), options) for case in cases]
        return evidence_of(members, setups, labels, contours=False)


def _job(job: tuple[Study, str, Sequence[Case]]) -> list[Evidence]:
    return measure_video(*job)


def measure(study: Study, cases: Sequence[Case], processes: int) -> list[list[Evidence]]:
    """Per case the evidence of every video."""
    jobs = [(study, name, cases) for name in study.videos]
    bar = Progress(len(jobs), "videos")
    made = []
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for evidence in map(_job, jobs) if processes == 1 else pool.map(_job, jobs):
            made.append(evidence)
            bar.advance()
    bar.close()
    return [list(column) for column in zip(*made, strict=True)]


@dataclass(frozen=True)
class Row:
    """Scores of one ensemble, J&F in [0, 1]; shares in [0, 1], NaN where there is nothing."""

    best: float
    by_prior: float
    chosen: tuple[float, ...]
    by_video: float
    by_object: float
    shown: float
    erased: float

    def cells(self) -> list[str]:
        """In percent."""
        values = (self.best, self.by_prior, *self.chosen, self.by_video, self.by_object)
        return [*(f"{100 * v:.1f}" for v in values), *(f"{100 * v:.2f}" for v in
                (self.shown, self.erased))]  # fmt: skip


CHOSEN = ("pseudo-label", *POLICIES)
HEADS = (
    "ensemble",
    "best single",
    "by prior",
    *CHOSEN,
    "oracle video",
    "object",
    "shown",
    "erased",
)


def row_of(videos: Sequence[Evidence]) -> Row:
    """What the ensemble is worth on these videos."""
    base = baselines(videos)
    priors = videos[0].priors[:-1]
    first = base.members[videos[0].members[int(priors.argmax())]]
    chosen = [
        mean_score([selected_truth(e, select(e, SelectionOptions(policy=p))) for e in videos])
        for p in CHOSEN
    ]
    return Row(
        mean_score(base.members[base.best]), mean_score(first), tuple(chosen),
        mean_score(base.oracle_video), mean_score(base.oracle_object), *presence(videos),
    )  # fmt: skip


def presence(videos: Sequence[Evidence]) -> tuple[float, float]:
    """Share of the object-frames without the object that the pseudo-label shows, and of those
    with it that it erases, see the module."""
    empty = shown = there = erased = 0
    for evidence in videos:
        scored = ~np.isnan(evidence["truth_j"][:, -1])
        area, first = evidence["area"][:, -1], int(evidence.priors[:-1].argmax())
        empty += int((gone := scored & (evidence.true_area == 0)).sum())
        shown += int((gone & (area > 0)).sum())
        there += int((present := scored & (evidence.true_area > 0)).sum())
        right = evidence["truth_j"][:, first] > 0
        erased += int((present & right & (area == 0)).sum())
    return shown / empty if empty else np.nan, erased / there if there else np.nan


def ensembles_of(study: Study, configs: Sequence[str]) -> dict[str, tuple[Seat, ...]]:
    """Name -> seats: of the run itself, or of each configuration."""
    listed = {Path(path).stem: load_config(path).members for path in configs}
    listed = listed or {study.run.root.name: study.config.members}
    return {
        name: tuple(Seat(member.name, prior_of(member, None)) for member in members)
        for name, members in listed.items()
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.choice", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("runs", nargs="+", help="run folders that kept their predictions")
    p.add_argument("--labels", help="folder of full labels (default: the run's own)")
    p.add_argument("--ensembles", nargs="+", default=[], metavar="CONFIG")
    p.add_argument("--videos", nargs="+", default=[], metavar="NAME", help="only these (patterns)")
    p.add_argument("--stress", action="store_true", help="also ensembles that were made worse")
    p.add_argument("--priors", action="store_true", help="also wrong priors, and corrected ones")
    p.add_argument("--weakest", type=int, default=0, metavar="N", help="also with N weak members")
    p.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, measure, print."""
    a = parser().parse_args(argv)
    for root in a.runs:
        study = open_study(root, a.labels, a.videos)
        cases = [Case(name, seats) for name, seats in ensembles_of(study, a.ensembles).items()]
        for case in list(cases):
            if a.stress:
                cases += [under(case, made) for made in stressed(case.seats)]
            if a.priors:
                wrong = [under(case, made) for made in misjudged(case.seats)]
                cases += [*wrong, *(corrected(study, made) for made in (case, *wrong))]
            if a.weakest:
                cases.append(with_weakest(study, case, a.weakest))
        rows: dict[str, list[Row]] = {}
        for case, videos in zip(cases, measure(study, cases, a.processes), strict=True):
            rows.setdefault(case.group, []).append(row_of(videos))
        print_line(f"{root}: {len(study.videos)} videos")
        body = [line for group, of in rows.items() for line in lines(group, of)]
        print_line(format_table(HEADS, body))
    return EXIT_OK


def under(case: Case, made: Case) -> Case:
    """A case that was made of another one, told under its name."""
    return replace(made, group=f"{case.group}, {made.group}")


def lines(group: str, rows: Sequence[Row]) -> list[list[str]]:
    """A line for one ensemble; of several, the mean, and the worst by the first policy."""
    if len(rows) == 1:
        return [[group, *rows[0].cells()]]
    values = np.array([[*row.chosen] for row in rows])
    worst = rows[int(values[:, 1].argmin())]
    mean = Row(*(np.mean([getattr(r, k) for r in rows], axis=0) for k in Row.__annotations__))
    return [[f"{group}: mean", *mean.cells()], [f"{group}: worst", *worst.cells()]]


if __name__ == "__main__":
    run_command(main)
