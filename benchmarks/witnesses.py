"""How much of what the selected masks lose any member has: the most that they can tell each other.

    python -m benchmarks.witnesses RUN [RUN ...]

The runs are finished, with labels. No model runs. An object is lost on a frame where it is there
and J of the selected mask is below 0.3, and a member has it where its own J is 0.5 or more. Printed
per run, in percent: J of the selected masks and of the best member frame by frame; how many
object-frames are lost, and of these how many at least one member has, and at least two; how often
something is selected where the object is not there, and how often a member knows that then.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.suggestions import lost_from
from selection.evidence import Evidence
from selection.record import read_records
from selection.run_paths import RunPaths
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.tables import format_table

LOST = 0.3
HAS = 0.5
HEADS = ("run", "selected J", "best J", "lost", "one has it", "two", "false", "one knows")


def shares_of(root: Path) -> list[str]:
    """A line of the table."""
    means, counts = [], np.zeros(7)
    for record in read_records(root):
        evidence = Evidence.load(RunPaths(root).evidence_path(record.video))
        selected = 1 - lost_from(record, evidence, 1)
        members = evidence["truth_j"][:, :-1]
        scored, there = ~np.isnan(selected), evidence.true_area > 0
        means.append((np.nanmean(selected, axis=0), np.nanmean(members.max(axis=1), axis=0)))
        having = (members >= HAS).sum(axis=1)
        lost = scored & there & (selected < LOST)
        false = scored & ~there & (selected < LOST)
        told = (scored & there, lost, lost & (having > 0), lost & (having > 1))
        more = (scored & ~there, false, false & (having > 0))
        counts += [int(part.sum()) for part in (*told, *more)]
    selected_j, best_j = (
        float(np.nanmean(np.concatenate(column))) for column in zip(*means, strict=True)
    )
    there, lost, one, two, away, false, knows = counts
    shares = (lost / there, one / max(lost, 1), two / max(lost, 1))
    shares = (*shares, false / max(away, 1), knows / max(false, 1))
    return [root.name, *(f"{100 * share:.1f}" for share in (selected_j, best_j, *shares))]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and print the table."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.witnesses", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("runs", type=Path, nargs="+", help="finished runs with labels")
    a = p.parse_args(argv)
    print_line(format_table(HEADS, [shares_of(root) for root in a.runs]))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
