"""A protocol as a value: what counts, how frames are scored, and how scores are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import fmean

from selection.metrics.frames import FrameRule, FrameScore, davis_frame

ObjectScores = dict[str, float | None]
"""Score names to means in [0, 1]; None where there is nothing to take a mean of."""

Conclude = Callable[[Sequence[FrameScore]], ObjectScores | None]
"""The scores of one object from those of its frames, or None if it does not count."""


class Counted(Enum):
    """Which objects of a video count."""

    KNOWN = "those of the meta file, else of any true mask"
    SEEN = "those of the true masks on the frames that count"
    FIRST_MASK = "1 up to the largest id of the first true mask"


class Missing(Enum):
    """What becomes of a video that has labels and no masks."""

    REFUSED = "the evaluator stops"
    ZERO = "its objects score zero"
    LEFT_OUT = "the evaluator leaves it out"


@dataclass(frozen=True)
class ScoredObject:
    """An object with its scores; `unseen` tells that the training set had none of its kind, and
    `video` in which video it is."""

    scores: ObjectScores
    unseen: bool = False
    video: str = ""


Combine = Callable[[Sequence[ScoredObject]], ObjectScores]
"""The scores of a set of objects: those of one video, or of all."""

_JOINT = {
    "J&F": ("J", "F"),
    "J&F_adaptive": ("J", "F_adaptive"),
    "J&F_disappear": ("J_disappear", "F_disappear"),
    "J&F_reappear": ("J_reappear", "F_reappear"),
}


def with_joint(scores: ObjectScores) -> ObjectScores:
    """``scores`` with the mean of every region score and its boundary score added."""
    joint: ObjectScores = {}
    for name, (region, boundary) in _JOINT.items():
        if region in scores and boundary in scores:
            j, f = scores[region], scores[boundary]
            joint[name] = None if j is None or f is None else (j + f) / 2
    return scores | joint


def mean_scores(scores: Iterable[ObjectScores | None]) -> ObjectScores:
    """Mean over objects of every score, each over the objects that have it.

    No protocol takes a mean over videos first. Empty without any object.
    """
    counted = [item for item in scores if item is not None]
    means: ObjectScores = {}
    for name in counted[0] if counted else ():
        if name not in _JOINT:
            values = [value for item in counted if (value := item[name]) is not None]
            means[name] = fmean(values) if values else None
    return with_joint(means)


def mean_objects(objects: Sequence[ScoredObject]) -> ObjectScores:
    """Every object counts once."""
    return mean_scores(item.scores for item in objects)


def mean_kinds(objects: Sequence[ScoredObject], names: Sequence[str]) -> ObjectScores:
    """Means of the scores ``names`` over seen and over unseen objects, and the mean of both; of
    one if there is one."""
    groups = {
        kind: mean_objects([item for item in objects if item.unseen is unseen])
        for kind, unseen in (("seen", False), ("unseen", True))
    }
    scores: ObjectScores = {}
    for name in names:
        values = {kind: group.get(name) for kind, group in groups.items()}
        there = [value for value in values.values() if value is not None]
        scores[name] = fmean(there) if there else None
        scores |= {f"{name}_{kind}": value for kind, value in values.items()}
    return with_joint(scores)


def mean_frames(series: Sequence[FrameScore]) -> ObjectScores | None:
    """J, F and their mean over all frames; None without a frame."""
    if not series:
        return None
    j, f = fmean(frame.J for frame in series), fmean(frame.F for frame in series)
    return with_joint({"J": j, "F": f})


@dataclass(frozen=True)
class Protocol:
    """The rules of one evaluator.

    name           is what ``--protocol`` takes
    summary        says in one line what counts, for ``--help``
    server         is what messages call the software that defines the protocol
    columns        are the scores that it reports, in the order in which its evaluator prints them
    frame          scores an object on a frame
    conclude       makes an object's scores of those of its frames
    combine        makes the scores of a video, or of all, of those of the objects
    first, last    are the numbers of frames left out at the start and the end of a video
    counted        says which objects count
    missing        says what becomes of a video without masks
    extra_refused  tells that a video without labels is refused
    all_frames     tells that the first and the last frame may be scored too
    ids_refused    tells that the server refuses an id beyond the true ones
    void_hidden    tells that predictions under the truth's void pixels are ignored
    frames_by_prediction
                   tells that the predicted masks are counted, not the true ones, to find the
                   frames that are left out
    wrapping_folder
                   tells that the server accepts a folder around all videos
    kinds          tells that objects of kinds that the training set has none of count apart
    conclude_range makes an object's scores of those of the frames inside the range that a meta
                   file gives it, where the evaluator goes by that
    """

    name: str
    summary: str
    server: str
    columns: tuple[str, ...] = ("J&F", "J", "F")
    frame: FrameRule = davis_frame
    conclude: Conclude = mean_frames
    combine: Combine = mean_objects
    first: int = 1
    last: int = 1
    counted: Counted = Counted.KNOWN
    missing: Missing = Missing.REFUSED
    extra_refused: bool = False
    all_frames: bool = False
    ids_refused: bool = False
    void_hidden: bool = False
    frames_by_prediction: bool = False
    wrapping_folder: bool = False
    kinds: bool = False
    conclude_range: Conclude | None = None
