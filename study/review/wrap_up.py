"""The end of a review: results made again and checked, corrections to take along."""

from __future__ import annotations

import io
import zipfile

from mose.check import check_results
from stseg.files import Json
from study.apply_override import rewrite_results
from study.review.desk import Desk
from study.review.facts import table_of_edits

FINDINGS = 20
"""Findings that a page lists."""


def finish(desk: Desk) -> Json:
    """Write tables, zip and report again, check the zip, and tell what changed."""
    run = desk.opened.run
    with desk.changing():
        rewrite_results(desk.opened.config, run)
    report = None
    if run.submission.is_file():
        report = check_results(run.submission, desk.opened.dataset, processes=1)
    findings = [] if report is None else [finding.sentence for finding in report.findings]
    return {
        "zip": run.submission.is_file(),
        "findings": findings[:FINDINGS],
        "more": max(len(findings) - FINDINGS, 0),
        "edits": table_of_edits(desk),
    }


def corrections_zip(desk: Desk) -> bytes:
    """Every correction as MOSE masks, in the layout that ``--corrections`` takes."""
    root = desk.opened.run.all_corrections
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:]):
                archive.write(path, path.relative_to(root).as_posix())
    return out.getvalue()
