"""Label Studio's tasks with brush masks, as it exports them (JSON) and as `selection.export` writes
them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from selection.export.brush import decode
from selection.imports.video import ImportedVideo, Planes
from stseg.errors import InputError
from stseg.files import Json
from stseg.text import read_json


def read(path: Path) -> list[ImportedVideo]:
    """The videos of a file of tasks; `InputError` where it is damaged."""
    videos: dict[str, list[Json]] = {}
    try:
        for task in read_json(path, "tasks"):
            if "image" not in task["data"] and "video" in task["data"]:
                raise InputError(
                    f"tasks {path} are of videos, on which Label Studio has boxes and no masks:"
                    " import tasks of frames"
                )
            video, _ = place(task)
            videos.setdefault(video, []).append(task)
        return [_video(name, tasks, path) for name, tasks in videos.items()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"tasks {path} are damaged ({error}): export them again as JSON") from None


def place(task: Json) -> tuple[str, str]:
    """Video and frame of a task: what its data say, else the ends of the image's path."""
    data = task["data"]
    image = PurePosixPath(str(data["image"]).rpartition("?d=")[2])
    return str(data.get("video", image.parent.name)), str(data.get("frame", image.stem))


def _video(name: str, tasks: list[Json], path: Path) -> ImportedVideo:
    tasks = sorted(tasks, key=lambda task: place(task)[1])
    results = [[r for r in _results(task) if r["type"] == "brushlabels"] for task in tasks]
    sizes = [(r["original_height"], r["original_width"]) for own in results for r in own]
    sizes += [(t["data"]["height"], t["data"]["width"]) for t in tasks if "height" in t["data"]]
    if not sizes:
        raise InputError(f"video {name} of {path} has no brush mask: nothing tells its size")
    height, width = (int(side) for side in sizes[0])

    def planes(index: int) -> Planes:
        objects = {}
        for number, result in enumerate(results[index], 1):
            label = str(result["value"]["brushlabels"][0])
            try:
                plane = decode(result["value"]["rle"], height, width)
            except (ValueError, IndexError) as error:
                raise InputError(f"a mask of {path} is damaged ({error}): export again") from None
            objects[int(label) if label.isdecimal() else number] = plane
        return objects

    return ImportedVideo(name, [place(task)[1] for task in tasks], (height, width), planes)


def _results(task: Json) -> list[Json]:
    """What the last annotation of a task holds, else its prediction."""
    for key in ("annotations", "predictions"):
        if task.get(key):
            results: list[Json] = task[key][-1]["result"]
            return results
    return []
