"""Whether the suggested correction is where most is lost, from finished runs with labels.

    python -m benchmarks.suggestions RUN [RUN ...]

Runs no model. Prints, over all videos, the J that the selected masks of the suggested object lose
on the suggested frame, over the ten frames from it on and over the rest of the video; the same for
a random frame and object; and the most that any frame and object has.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from selection.evidence import Evidence
from selection.record import SelectionRecord, read_records
from selection.run_paths import RunPaths
from selection.suggestion import suggest
from stseg.cli import EXIT_OK, print_line, run_command
from stseg.tables import format_table

AHEAD = (1, 10, 10**6)


def lost_from(record: SelectionRecord, evidence: Evidence, ahead: int) -> np.ndarray:
    """``(T, N)``: J lost by the selected masks on ``ahead`` frames from each frame on; NaN where
    nothing is scored."""
    loss = np.full((len(evidence.frames), len(evidence.object_ids)), np.nan)
    for column, object_id in enumerate(evidence.object_ids):
        for span in record.plan[object_id]:
            at = slice(span.start, span.stop), evidence.candidates.index(span.candidate), column
            loss[span.start : span.stop, column] = 1 - evidence["truth_j"][at]
    known = np.nan_to_num(loss)
    sums = np.array([known[index : index + ahead].sum(axis=0) for index in range(len(known))])
    return np.where(np.isnan(loss), np.nan, sums)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and print the table."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.suggestions", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    p.add_argument("runs", type=Path, nargs="+", help="finished runs with labels")
    a = p.parse_args(argv)
    lines: dict[str, list[list[float]]] = {"suggested": [], "random": [], "best": []}
    for root in a.runs:
        for record in read_records(root):
            evidence = Evidence.load(RunPaths(root).evidence_path(record.video))
            said = suggest(evidence)
            if said is None:
                continue
            lost = [lost_from(record, evidence, ahead) for ahead in AHEAD]
            at = said.frame, evidence.object_ids.index(said.object_id)
            lines["suggested"].append([float(one[at]) for one in lost])
            lines["random"].append([float(np.nanmean(one)) for one in lost])
            lines["best"].append([float(np.nanmax(one)) for one in lost])
    rows = [[way, *(f"{v:.2f}" for v in np.mean(told, axis=0))] for way, told in lines.items()]
    print_line(format_table(["correction", "frame", "ten frames", "rest"], rows))
    return EXIT_OK


if __name__ == "__main__":
    run_command(main)
