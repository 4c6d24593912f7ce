"""DAVIS: lists and folders as its tools want them.

::

    Annotations/480p/<video>/00000.png    the masks, at the size of the frames
    JPEGImages/480p/<video>               links to the data set's frames
    ImageSets/2017/val.txt                the videos
"""

from __future__ import annotations

import os
from pathlib import Path

from mose.masks import write_mask
from selection.export.source import RunMasks

INNER = "480p"


def write_davis(run: RunMasks, target: Path) -> int:
    """Write the folders above into ``target``; returns the number of frames."""
    count = 0
    for video in run.videos:
        folder = target / "Annotations" / INNER / video.name
        folder.mkdir(parents=True)
        for stem, ids in zip(video.stems, video.masks(), strict=True):
            write_mask(folder / f"{stem}.png", ids)
            count += 1
        link = target / "JPEGImages" / INNER / video.name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(video.images, link)
    listed = target / "ImageSets" / "2017" / "val.txt"
    listed.parent.mkdir(parents=True)
    names = "".join(f"{video.name}\n" for video in run.videos)
    listed.write_bytes(os.fsencode(names))  # as the folders are named, text or not
    return count
