"""Label Studio: a task per frame, a brush mask per object.

::

    tasks.json    to import; the image of a task is <video>/<frame>
    config.xml    the labelling configuration of the project

Its brush is for images and not for videos, so every frame is one; ``data`` says of which video, and
the label of a brush mask is the object's id.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import quoteattr

from selection.export.brush import encode
from selection.export.source import RunMasks
from stseg.files import Json, write_json

LOCAL_FILES = "/data/local-files/?d="
"""Address of files that Label Studio serves from its own disk."""


def write_labelstudio(run: RunMasks, target: Path) -> int:
    """Write the files above into ``target``; returns the number of frames."""
    tasks: list[Json] = []
    for video in run.videos:
        names = video.frame_names()
        height, width = video.size
        for frame, ids in enumerate(video.masks()):
            brushes = [
                {
                    "id": f"{video.name}-{video.stems[frame]}-{object_id}",
                    "type": "brushlabels",
                    "from_name": "object",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {
                        "format": "rle",
                        "rle": encode(ids == object_id),
                        "brushlabels": [str(object_id)],
                    },
                }
                for object_id in video.object_ids
                if (ids == object_id).any()
            ]
            data = {
                "image": f"{LOCAL_FILES}{video.name}/{names[frame]}",
                "video": video.name,
                "frame": video.stems[frame],
                "height": height,
                "width": width,
            }
            tasks.append({"data": data, "annotations": [{"result": brushes}]})
    write_json(target / "tasks.json", tasks, indent=None)
    labels = labels_of(run)
    (target / "config.xml").write_text(
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="object" toName="image">\n{labels}  </BrushLabels>\n</View>\n',
        encoding="utf-8",
    )
    return len(tasks)


def labels_of(run: RunMasks) -> str:
    """A line of a labelling configuration for every object of a run."""
    known = sorted({i for video in run.videos for i in video.object_ids})
    return "".join(f"    <Label value={quoteattr(str(i))}/>\n" for i in known)
