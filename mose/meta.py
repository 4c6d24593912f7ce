"""Meta files: what ``meta.json`` and its like say of the videos of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stseg.errors import InputError
from stseg.text import read_json


@dataclass(frozen=True)
class ObjectMeta:
    """What a meta file says of an object; None where it says nothing.

    category   of things that it belongs to (YouTube-VOS)
    frames     names of those that show it and count (YouTube-VOS)
    span       numbers of its first and last labelled frame (LVOS)
    """

    category: str | None = None
    frames: tuple[str, ...] | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class VideoMeta:
    """What a meta file says of a video; None where it says nothing.

    length          its number of frames
    height, width   of its frames, in pixels
    objects         its object ids, ascending
    tracks          object id -> what is said of it, where a mapping of objects says anything
    """

    length: int | None = None
    height: int | None = None
    width: int | None = None
    objects: tuple[int, ...] | None = None
    tracks: Mapping[int, ObjectMeta] = field(default_factory=dict)


def read_meta(path: Path) -> dict[str, VideoMeta]:
    """Video -> what a meta file says of it; `InputError` where the file is damaged.

    Objects are a list or mapping of ids, as in YouTube-VOS; a bare number of them says no ids.
    """
    form = '{"videos": {<video>: {"objects": ["1", ...], "length": 60}}}'
    remedy = f"expected {form}; restore or remove it"
    stored = read_json(path, "meta file", remedy)
    try:
        return {name: _entry(dict(entry)) for name, entry in stored["videos"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"meta file {path} is damaged: {remedy}") from None


def _entry(entry: dict[str, object]) -> VideoMeta:
    length, height, width = (_number(entry.get(key)) for key in ("length", "height", "width"))
    objects = entry.get("objects")
    ids = tuple(sorted(int(i) for i in objects)) if isinstance(objects, (list, dict)) else None
    named = objects.items() if isinstance(objects, dict) else ()
    said = {int(i): _object(track) for i, track in named if isinstance(track, dict)}
    tracks = {i: track for i, track in said.items() if track != ObjectMeta()}
    return VideoMeta(length, height, width, ids, tracks)


def _object(entry: dict[str, Any]) -> ObjectMeta:
    category, frames, span = (entry.get(key) for key in ("category", "frames", "frame_range"))
    return ObjectMeta(
        None if category is None else str(category),
        None if frames is None else tuple(map(str, frames)),
        None if span is None else (int(span["start"]), int(span["end"])),
    )


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
