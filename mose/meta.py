"""Meta files: what ``meta.json`` and its like say of the videos of a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stseg.errors import InputError
from stseg.text import read_json


@dataclass(frozen=True)
class VideoMeta:
    """What a meta file says of a video; None where it says nothing.

    length          its number of frames
    height, width   of its frames, in pixels
    objects         its object ids, ascending
    """

    length: int | None = None
    height: int | None = None
    width: int | None = None
    objects: tuple[int, ...] | None = None


def read_meta(path: Path) -> dict[str, VideoMeta]:
    """Video -> what a meta file says of it; `InputError` where the file is damaged.

    Objects are a list or mapping of ids, as in YouTube-VOS; a bare number of them says no ids.
    """
    try:
        videos = read_json(path, "meta file")["videos"]
        return {name: _entry(dict(entry)) for name, entry in videos.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f" ({error})" if isinstance(error, InputError) else ""
        raise InputError(
            f'meta file {path} is damaged: expected {{"videos": {{<video>: {{"objects":'
            f' ["1", ...], "length": 60}}}}}}; restore or remove it{why}'
        ) from None


def _entry(entry: dict[str, object]) -> VideoMeta:
    length, height, width = (_number(entry.get(key)) for key in ("length", "height", "width"))
    objects = entry.get("objects")
    ids = tuple(sorted(int(i) for i in objects)) if isinstance(objects, (list, dict)) else None
    return VideoMeta(length, height, width, ids)


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
