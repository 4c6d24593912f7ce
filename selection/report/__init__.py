"""The report of a run: an index and a page per video, plain HTML that opens from disk.

Made from the run directory alone: ``config.yaml``, ``summary.json``, ``environment.json``,
``selection/``, ``masks/`` and the stills in ``report/frames`` (see `stills`).
"""

from __future__ import annotations

from pathlib import Path

from selection.evidence import Evidence
from selection.record import read_records
from selection.report.document import write_page
from selection.report.facts import VideoFacts, read_run
from selection.report.flags import find_flags
from selection.report.index import index_page
from selection.report.stills import Stills, read_stills, remake, write_selected
from selection.report.video import Neighbours, video_page
from selection.run_paths import RunPaths, page_name

__all__ = ["write_report"]


def write_report(root: str | Path) -> Path:
    """Write ``report/`` of the run in ``root``; returns the index. `InputError` if it is no run."""
    root = Path(root)
    run, records, paths = read_run(root), read_records(root), RunPaths(root)
    paths.report.parent.mkdir(exist_ok=True)
    names = [page_name(record.video) for record in records]
    facts = []
    for record, previous, following in zip(
        records, [None, *names], [*names[1:], None], strict=False
    ):
        evidence = read_evidence(root, record.video)
        stills = make_stills(root, record.video, run.images)
        flags = find_flags(record, evidence)
        facts.append(VideoFacts.of(record, evidence, flags, stills))
        near = Neighbours(previous, following)
        page = video_page(root, record, evidence, stills, flags, near)
        write_page(paths.page(record.video), page)
    write_page(paths.report, index_page(run, facts))
    return paths.report


def read_evidence(root: Path, video: str) -> Evidence | None:
    """The stored `Evidence` of a video, or None where it is gone."""
    path = RunPaths(root).evidence_path(video)
    return Evidence.load(path) if path.exists() else None


def make_stills(root: Path, video: str, images: Path) -> Stills | None:
    """Bring the pictures of a video up to date with its selected masks."""
    run = RunPaths(root)
    folder = run.stills(video)
    stills = read_stills(folder) or remake(run, video, images)
    if stills is not None:
        write_selected(folder, stills, run.masks(video))
    return stills
