"""python -m selection.compare RUN_A RUN_B: what changed between two runs, where, by how much."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from selection.record import SelectionRecord, read_records
from selection.run_paths import RunPaths
from selection.spans import candidates_of, consecutive
from stseg.cli import EXIT_OK, CommandParser, print_line
from stseg.errors import InputError
from stseg.files import Json, write_json
from stseg.progress import progress

LAYOUT = """\
what is read of each run folder:
  masks/<video>/00000.png     the selected masks
  selection/<video>.json      which candidate was chosen; its J&F, where the run had labels

J is the overlap of the two runs' masks of an object, mean over the frames on which either has
it; frames are those below the --same threshold."""

SAME = 0.9
"""J between the two runs below which a frame counts as changed."""


@dataclass(frozen=True)
class Change:
    """One object of one video in two runs.

    j        mean J between the runs' masks, over the frames on which either has the object
    frames   (first, last) frame names of each stretch of changed frames
    changed  number of changed frames
    chosen   the candidate in each run
    truth    J&F with the labels in each run, None where a run has none
    """

    video: str
    object_id: int
    j: float
    frames: tuple[tuple[str, str], ...]
    changed: int
    chosen: tuple[str, str]
    truth: tuple[float | None, float | None]

    @property
    def gain(self) -> float | None:
        """J&F of the second run minus the first's."""
        before, after = self.truth
        return None if before is None or after is None else after - before


@dataclass(frozen=True)
class Comparison:
    """Two runs: the videos that only one has, and every object of the others."""

    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    objects: tuple[Change, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The objects with a changed frame or another candidate, the most different first."""
        changed = (c for c in self.objects if c.changed or c.chosen[0] != c.chosen[1])
        return tuple(sorted(changed, key=lambda c: (c.j, c.video, c.object_id)))

    def json(self) -> Json:
        """Everything, for a program."""
        return asdict(self)

    def table(self, most: int = 40) -> str:
        """What changed, the most different objects first; scores in percent."""
        from stseg.tables import format_table

        lines = []
        for which, names in (("first", self.only_first), ("second", self.only_second)):
            if names:
                lines.append(f"only in the {which} run: {', '.join(names)}")
        rows = []
        for change in self.changes[:most]:
            gain = change.gain
            rows.append(
                [
                    change.video,
                    str(change.object_id),
                    f"{100 * change.j:.1f}",
                    str(change.changed),
                    stretches(change.frames),
                    " > ".join(dict.fromkeys(change.chosen)),
                    "" if gain is None else f"{100 * gain:+.1f}",
                ]
            )
        if rows:
            heads = ["video", "object", "J", "changed", "frames", "chosen", "J&F"]
            lines.append(format_table(heads, rows))
        if len(self.changes) > most:
            lines.append(f"and {len(self.changes) - most} more objects")
        lines.append(self.total())
        return "\n".join(lines)

    def total(self) -> str:
        """The comparison in one line."""
        text = f"{len(self.changes)} of {len(self.objects)} objects changed"
        gains = [change.gain for change in self.objects if change.gain is not None]
        if gains:
            text += f"; J&F {100 * sum(gains) / len(gains):+.2f} over {len(gains)} labelled objects"
        return text


def compare_runs(first: str | Path, second: str | Path, same: float = SAME) -> Comparison:
    """Compare the selected masks of two runs over the same data set.

    Raises `InputError` for a folder that is no run, for runs without a common video, and for
    videos whose masks differ in number or size.
    """
    roots = Path(first), Path(second)
    records = [records_by_video(root) for root in roots]
    common = [name for name in records[0] if name in records[1]]
    if not common:
        raise InputError(f"runs {first} and {second} have no video in common: nothing to compare")
    changes: list[Change] = []
    for name in progress(common, len(common), "videos"):
        changes += compare_video(roots, name, (records[0][name], records[1][name]), same)
    return Comparison(
        tuple(name for name in records[0] if name not in records[1]),
        tuple(name for name in records[1] if name not in records[0]),
        tuple(changes),
    )


def records_by_video(root: Path) -> dict[str, SelectionRecord]:
    """The selection records of a run; `InputError` where it has none."""
    records = {record.video: record for record in read_records(root)}
    if not records:
        raise InputError(f"{root} is no run folder, or has no finished video (no selection/*.json)")
    return records


def compare_video(
    roots: tuple[Path, Path],
    name: str,
    records: tuple[SelectionRecord, SelectionRecord],
    same: float,
) -> list[Change]:
    """The objects of one video."""
    from mose.masks import read_mask
    from mose.readers.folder import numbered_files
    from selection.metrics import Regions, jaccard

    folders = [RunPaths(root).masks(name) for root in roots]
    stems = [[mask.stem for mask in numbered_files(f, (".png",), "mask")] for f in folders]
    if stems[0] != stems[1]:
        raise InputError(
            f"video {name} has {len(stems[0])} masks in {roots[0]} and {len(stems[1])} in"
            f" {roots[1]}: compare runs over the same frames"
        )
    object_ids = sorted({*records[0].objects, *records[1].objects})
    overlaps: dict[int, list[tuple[int, float]]] = {object_id: [] for object_id in object_ids}
    for index, stem in enumerate(stems[0]):
        before, after = (
            Regions(read_mask(folder / f"{stem}.png", binary=False)) for folder in folders
        )
        if before.shape != after.shape:
            raise InputError(
                f"masks of video {name} differ in size between {roots[0]} and {roots[1]}"
            )
        for object_id in object_ids:
            areas = before.areas.get(object_id, 0), after.areas.get(object_id, 0)
            if any(areas):
                shared = before.plane(object_id).common(after.plane(object_id)) if all(areas) else 0
                overlaps[object_id].append((index, jaccard(shared, sum(areas) - shared)))
    changes = []
    for object_id, scores in overlaps.items():
        changed = [index for index, j in scores if j < same]
        mean = sum(j for _, j in scores) / len(scores) if scores else 1.0
        changes.append(
            Change(
                name,
                object_id,
                mean,
                tuple((stems[0][a], stems[0][b]) for a, b in consecutive(changed)),
                len(changed),
                (chosen(records[0], object_id), chosen(records[1], object_id)),
                (truth(records[0], object_id), truth(records[1], object_id)),
            )
        )
    return changes


def chosen(record: SelectionRecord, object_id: int) -> str:
    """The candidates of an object, in the order of their first frames."""
    return "/".join(candidates_of(record.plan.get(object_id, ()))) or "–"


def truth(record: SelectionRecord, object_id: int) -> float | None:
    """J&F of an object in the selection, where there were labels."""
    return record.truth.by_object.get(object_id) if record.truth else None


def stretches(frames: Sequence[tuple[str, str]], most: int = 3) -> str:
    """Stretches of frames in words: "00004, 00010-00020"."""
    told = [first if first == last else f"{first}-{last}" for first, last in frames[:most]]
    return ", ".join([*told, "..."] if len(frames) > most else told)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandParser(
        "selection.compare", "What changed between the selected masks of two runs.", epilog=LAYOUT
    )
    p.add_argument("first", help="a run folder")
    p.add_argument("second", help="the run folder to compare it with")
    p.add_argument("--same", type=float, default=SAME, metavar="J",
                   help="frames below this count as changed (default: %(default)s)")  # fmt: skip
    p.add_argument("--json", metavar="FILE", help="write everything to this file, too")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and compare; returns the exit code."""
    arguments = parser().parse_args(argv)
    if not 0 < arguments.same <= 1:
        raise InputError(f"--same {arguments.same} is no J: give a number above 0, at most 1")
    comparison = compare_runs(arguments.first, arguments.second, arguments.same)
    if arguments.json:
        write_json(arguments.json, comparison.json())
    print_line(comparison.table())
    return EXIT_OK
