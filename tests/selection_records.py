"""Selection records for tests that need a run directory but no run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selection.record import CandidateRow, SelectionRecord
from selection.spans import whole


def record_of(
    video: str,
    objects: Sequence[int] = (5,),
    frames: int = 3,
    candidates: Sequence[str] = ("m", "pseudo-label"),
    **changes: Any,
) -> SelectionRecord:
    """A record in which the first of ``candidates`` was selected for every object."""
    winner = candidates[0]
    values: dict[str, Any] = {
        "video": video,
        "frames": frames,
        "objects": tuple(objects),
        "fusion": "pgmr",
        "policy": "agreement",
        "granularity": "video",
        "winner": winner,
        "scores": dict.fromkeys(candidates, 0.8),
        "margin": 0.1,
        "reason": "agrees best",
        "plan": dict.fromkeys(objects, whole(winner, frames)),
        "absent": {},
        "candidates": tuple(
            CandidateRow(name, 0.6, 0.9, dict.fromkeys(objects, 0.9), score=0.8)
            for name in candidates
        ),
        "disputed": 0.02,
    }
    return SelectionRecord(**{**values, **changes})


def write_record(root: Path, record: SelectionRecord) -> None:
    """Put a record where a run has it."""
    path = root / "selection" / f"{record.video}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record.json()), encoding="utf-8")
