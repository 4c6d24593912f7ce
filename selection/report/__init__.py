"""The report of a run: an index and a page per video, plain HTML that opens from disk.

Made from the run directory alone: ``config.yaml``, ``summary.json``, ``environment.json``,
``selection/``, ``masks/`` and the stills in ``report/frames`` (see `stills`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from selection.evidence import Evidence
from selection.record import SelectionRecord, read_records
from selection.report.document import page_name, stills_folder, write_page
from selection.report.flags import find_flags
from selection.report.index import Run, VideoFacts, index_page
from selection.report.stills import read_stills, remake, write_selected
from selection.report.video import video_page
from stseg.errors import InputError

__all__ = ["page_name", "write_report"]


def write_report(root: str | Path) -> Path:
    """Write ``report/`` of the run in ``root``; returns the index. `InputError` if it is no run."""
    root = Path(root)
    run, records = read_run(root)
    folder = root / "report"
    folder.mkdir(exist_ok=True)
    names = [page_name(record.video) for record in records]
    facts = []
    for number, record in enumerate(records):
        video = record.video
        evidence = read_evidence(root, video)
        stills = make_stills(root, video, run.images)
        flags = find_flags(record, evidence)
        facts.append(VideoFacts.of(record, evidence, flags, stills))
        near = {"previous": names[number - 1 : number], "next": names[number + 1 : number + 2]}
        page = video_page(run.root, record, evidence, stills, flags, near)
        write_page(folder / f"{names[number]}.html", page)
    index = folder / "index.html"
    write_page(index, index_page(run, facts))
    return index


def read_run(root: Path) -> tuple[Run, list[SelectionRecord]]:
    """What is known of the run as a whole, and the selection record of every video."""
    try:
        config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
        summary = json.loads((root / "summary.json").read_text(encoding="utf-8"))
        environment = json.loads((root / "environment.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{root} is no run folder ({error.strerror}): give one") from None
    except ValueError as error:
        raise InputError(f"{root} holds a damaged run ({error}): run it again") from None
    return Run(root, config, summary, environment), read_records(root)


def read_evidence(root: Path, video: str) -> Evidence | None:
    """The stored `Evidence` of a video, or None where it is gone."""
    path = root / "selection" / "timelines" / f"{video}.npz"
    return Evidence.load(path) if path.exists() else None


def make_stills(root: Path, video: str, images: Path) -> dict[str, Any] | None:
    """The stills of a video with its selected masks up to date."""
    folder = stills_folder(root, video)
    stills = read_stills(folder) or remake(folder, root, video, images)
    if stills is not None:
        write_selected(folder, stills, root / "masks" / video)
    return stills
