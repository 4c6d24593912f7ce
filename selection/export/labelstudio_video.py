"""Label Studio: a task per video, a track of boxes per object.

::

    tasks.json            to import
    config.xml            the labelling configuration of the project
    videos/<video>.mp4    the frames

Its tags for videos know boxes and outlines and no brush, so masks are in `labelstudio`'s tasks. A
track has a box on every frame that shows the object; the last one before a gap is not ``enabled``.
Frames are counted from 1, places in percent of the frame. Source: ``VideoRectangleTag`` of
label_studio_sdk (label_interface/control_tags.py, converter/imports/pathtrack.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selection.export.labelstudio import LOCAL_FILES, labels_of
from selection.export.movie import even, write_movie
from selection.export.source import RunMasks, VideoMasks, box
from selection.run_paths import page_name
from stseg.files import Json, write_json


def write_labelstudio_video(run: RunMasks, target: Path, frames_per_second: float = 12.0) -> int:
    """Write the files above into ``target``; returns the number of frames."""
    (target / "videos").mkdir()
    tasks: list[Json] = []
    for video in run.videos:
        file = f"videos/{page_name(video.name)}.mp4"
        write_movie(target / file, video.frames(), video.size, frames_per_second)
        data = {"video": f"{LOCAL_FILES}{file}", "name": video.name}
        tracks = box_tracks(video, frames_per_second)
        tasks.append({"data": data, "annotations": [{"result": tracks}]})
    write_json(target / "tasks.json", tasks, indent=None)
    (target / "config.xml").write_text(
        f'<View>\n  <Video name="video" value="$video" framerate="{frames_per_second:g}"/>\n'
        '  <VideoRectangle name="box" toName="video"/>\n'
        f'  <Labels name="object" toName="video">\n{labels_of(run)}  </Labels>\n</View>\n',
        encoding="utf-8",
    )
    return sum(len(video.stems) for video in run.videos)


def box_tracks(video: VideoMasks, frames_per_second: float) -> list[Json]:
    """A track of every object of a video that is seen."""
    height, width = even(video.size)
    keys: dict[int, list[Json]] = {object_id: [] for object_id in video.object_ids}
    for index, ids in enumerate(video.masks()):
        for object_id, track in keys.items():
            plane = ids[:height, :width] == object_id
            if not plane.any():
                if track:
                    track[-1]["enabled"] = False
                continue
            track.append(
                {
                    **_place(plane),
                    "rotation": 0,
                    "frame": index + 1,
                    "time": round(index / frames_per_second, 4),
                    "enabled": True,
                }
            )
    count = len(video.stems)
    return [
        {
            "id": f"{page_name(video.name)}-{object_id}",
            "type": "videorectangle",
            "from_name": "box",
            "to_name": "video",
            "value": {
                "framesCount": count,
                "duration": round(count / frames_per_second, 4),
                "sequence": track,
                "labels": [str(object_id)],
            },
        }
        for object_id, track in keys.items()
        if track
    ]


def _place(plane: np.ndarray) -> dict[str, float]:
    """The box around a ``(H, W) bool`` mask, in percent of the frame."""
    height, width = plane.shape
    top, bottom, left, right = box(plane)
    return {
        "x": 100 * left / width,
        "y": 100 * top / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (bottom - top) / height,
    }
