"""A guard set: held-out videos with what the others say of them, on which a training is validated.

::

    Annotations/<video>/00000.png   the given masks
    Labels/<video>/00000.png        the fused masks of the members of other families
    JPEGImages/<video>              a link to the frames

The member that learns has no part in them. Where its own masks are the selected ones, it would
agree with itself, and nothing could be better than what it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ensemble.fusion.frame_loop import FusionSetup, read_frames
from mose.layout import ANNOTATIONS, IMAGES
from mose.masks import write_mask
from stseg.files import appearing
from stseg.progress import progress
from study.rounds.options import LABELS
from study.rounds.source import FinishedRun


def write_guard_set(source: FinishedRun, videos: Sequence[str], member: str, target: Path) -> None:
    """Write the guard set of a member, whole or not at all; a video that no member of another
    family gave a prediction of is left out."""
    with appearing(target) as folder:
        (folder / IMAGES).mkdir()
        for name in progress(videos, len(videos), "held-out videos"):
            witnesses = source.witnesses_in(name, member)
            if not witnesses:
                continue
            with source.opened(name, witnesses) as members:
                video = members.video
                for kind in (ANNOTATIONS, LABELS):
                    (folder / kind / name).mkdir(parents=True)
                for index in video.prompts:
                    place = folder / ANNOTATIONS / name / f"{video.frame_names[index]}.png"
                    write_mask(place, video.prompts[index])
                setup = FusionSetup(witnesses, source.config.fusion)
                for frame in read_frames(members):
                    write_mask(folder / LABELS / name / f"{frame.name}.png", frame.fuse(setup).ids)
            source.link_frames(name, folder)
