"""The logs of a training: CSV files, and those for TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TypeAlias

from mose import InputError
from stseg.files import write_bytes

LOG, VALIDATION = "log.csv", "validation.csv"
SCORE = "J&F"
EVENTS = "tensorboard"

Row: TypeAlias = dict[str, float]
"""Numbers of a step by their names, the step first."""


class StepLog:
    """A CSV file with a row per step. Rows after ``step``, written before the training was killed,
    are removed."""

    def __init__(self, path: Path, step: int):
        self.path = path
        self.rows = 0
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                head, *rows = list(csv.reader(file)) or [[]]
            kept = [row for row in rows if len(row) == len(head) and int(row[0]) <= step]
            self.rows = len(kept)
            lines = [",".join(row) for row in ([head, *kept] if kept else [])]
            write_bytes(path, "".join(f"{line}\n" for line in lines).encode(), sync=True)

    def add(self, row: Row) -> None:
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                if not self.rows:
                    writer.writerow(row)
                writer.writerow(row.values())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.rows += 1


class TensorBoardLog:
    """Curves for TensorBoard, in the folder ``tensorboard``; events after ``step`` are removed.

    Raises `InputError` where the package that writes them is absent.
    """

    def __init__(self, output: Path, step: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise InputError(
                "tensorboard: true needs the package tensorboardX: pip install 'stseg[train]',"
                " or leave it out, log.csv has the same numbers"
            ) from None
        # Files are named by the second: without a suffix a quick resume would replace one.
        self._writer = SummaryWriter(
            str(output / EVENTS), purge_step=step + 1, filename_suffix=f".{step}"
        )

    def add(self, group: str, row: Row) -> None:
        """Every number of a row but its step, as ``group/name``."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(f"{group}/{name}", value, row["step"])

    def close(self) -> None:
        self._writer.close()


def best_score(output: Path) -> float | None:
    """The best J&F of the validations so far, in percent."""
    path = output / VALIDATION
    if not path.exists():
        return None
    with open(path, newline="", encoding="utf-8") as file:
        scores = [float(row[SCORE]) for row in csv.DictReader(file)]
    return max(scores, default=None)


def last_row(path: Path) -> dict[str, str] | None:
    """The last complete row of a log, which may still grow; None if there is none."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            head, *rows = [line for line in file if line.endswith("\n")]
    except (OSError, ValueError):
        return None
    if not rows:
        return None
    return dict(zip(next(csv.reader([head])), next(csv.reader([rows[-1]])), strict=False))
