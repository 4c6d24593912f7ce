"""Finds what in a video deserves a look, from its `Evidence`. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selection.evidence import Evidence
from selection.record import SelectionRecord

LOW_AGREEMENT = 0.6
"""Mean J&F of the selected masks with the pseudo-label below which an object is flagged."""
LOW_OVERLAP = 0.5
"""Mean IoU of two members below which the video is flagged."""
FLICKERS = 4
"""An object flickers from this many changes between present and absent on."""
JUMP = 2.5
"""A change of area by this factor from one frame to the next is sudden."""
SMALL = 64
"""Areas below this many pixels may jump unnoticed."""
DISPUTED_FRAMES = 0.1
"""Share of frames on which members dispute whether an object is there."""


@dataclass(frozen=True)
class Flag:
    """One reason to look.

    kind     "low agreement", "members differ", "flicker", "sudden area", "disputed absence",
             "identity swap", "disputed identity", "reduced member" or "missing member"
    words    the reason, as a sentence part
    weight   how much it matters, in [0, 1]
    frame    index of the frame to look at, where there is one
    """

    kind: str
    words: str
    weight: float
    frame: int | None = None


def find_flags(record: SelectionRecord, evidence: Evidence | None) -> list[Flag]:
    """All flags of a video, the weightiest first."""
    flags = [
        Flag("reduced member", f"{name} ran reduced: {words}", 0.2)
        for name, words in record.provenance.reduced_members.items()
    ]
    flags += [
        Flag("missing member", f"{name} gave no prediction", 0.4)
        for name in record.provenance.missing_members
    ]
    if evidence is not None:
        flags += members_differ(evidence)
        rows = selected_rows(record, evidence)
        for column, object_id in enumerate(evidence.object_ids):
            agreement = taken(evidence["agreement_j"] + evidence["agreement_f"], rows, column) / 2
            area = taken(evidence["area"], rows, column)
            for start, stop in record.absent.get(object_id, ()):
                area[start:stop] = 0
            flags += low_agreement(object_id, agreement)
            flags += flicker(object_id, area)
            flags += sudden_area(object_id, area, evidence.frames)
            names = evidence.members
            swaps = taken(evidence["exchanged"], rows, column)
            flags += identity_swap(object_id, swaps, evidence.frames)
            flags += disputed_identity(object_id, evidence["mistaken"][:, :-1, column], names)
            flags += disputed_absence(object_id, evidence["area"][:, :-1, column], evidence.frames)
    return sorted(flags, key=lambda flag: -flag.weight)


def selected_rows(record: SelectionRecord, evidence: Evidence) -> np.ndarray:
    """``(T, N)`` row of the selected candidate, per frame and object."""
    row = {name: k for k, name in enumerate(evidence.candidates)}
    rows = np.full((len(evidence.frames), len(evidence.object_ids)), row[record.winner])
    for column, object_id in enumerate(evidence.object_ids):
        for start, stop, name in record.plan.get(object_id, ()):
            rows[start:stop, column] = row[name]
    return rows


def taken(plane: np.ndarray, rows: np.ndarray, column: int) -> np.ndarray:
    """``(T,)`` values of one object in a ``(T, C, N)`` plane, as the selected candidates have
    them."""
    return plane[np.arange(len(plane)), rows[:, column], column]


def members_differ(evidence: Evidence) -> list[Flag]:
    """Members whose masks overlap little, over the whole video."""
    pairs = evidence.overlap
    if np.isnan(pairs).all() or len(evidence.members) < 2:
        return []
    off = ~np.eye(pairs.shape[1], dtype=bool)
    by_frame = pairs[:, off].mean(axis=1)
    mean = float(np.nanmean(by_frame))
    if mean >= LOW_OVERLAP:
        return []
    words = f"members overlap by {100 * mean:.0f} % on average"
    return [Flag("members differ", words, 1 - mean / LOW_OVERLAP, int(np.nanargmin(by_frame)))]


def low_agreement(object_id: int, agreement: np.ndarray) -> list[Flag]:
    """An object whose selected masks agree little with the pseudo-label; ``(T,)`` J&F."""
    if np.isnan(agreement).all():
        return []
    mean = float(np.nanmean(agreement))
    if mean >= LOW_AGREEMENT:
        return []
    words = f"object {object_id} agrees with the pseudo-label at {100 * mean:.0f} only"
    return [Flag("low agreement", words, 1 - mean / LOW_AGREEMENT, int(np.nanargmin(agreement)))]


def presence_changes(area: np.ndarray) -> np.ndarray:
    """Frame indices on which an object appears or vanishes; ``(T,)`` areas, NaN unknown."""
    known = np.flatnonzero(~np.isnan(area))
    there = area[known] > 0
    return known[1:][there[1:] != there[:-1]]


def flicker(object_id: int, area: np.ndarray) -> list[Flag]:
    """An object that vanishes and returns again and again."""
    changes = presence_changes(area)
    if len(changes) < FLICKERS:
        return []
    words = f"object {object_id} comes and goes {len(changes)} times"
    return [Flag("flicker", words, min(len(changes) / 12, 1.0), int(changes[0]))]


def sudden_area(object_id: int, area: np.ndarray, frames: tuple[str, ...]) -> list[Flag]:
    """The greatest jump of an area between two frames that both show the object."""
    before, after = area[:-1], area[1:]
    larger, smaller = np.fmax(before, after), np.fmin(before, after)
    ratio = np.where((smaller > 0) & (larger >= SMALL), larger / np.maximum(smaller, 1), 1.0)
    if not len(ratio) or ratio.max() < JUMP:
        return []
    at = int(ratio.argmax())
    verb = "grows" if after[at] > before[at] else "shrinks"
    words = f"object {object_id} {verb} {ratio[at]:.1f} times at frame {frames[at + 1]}"
    return [Flag("sudden area", words, min(ratio[at] / 20, 0.8), at + 1)]


def disputed_absence(object_id: int, areas: np.ndarray, frames: tuple[str, ...]) -> list[Flag]:
    """Frames on which some members see an object and others do not; ``(T, M)`` areas."""
    known = ~np.isnan(areas).any(axis=1)
    seen = (areas > 0).sum(axis=1)
    disputed = known & (seen > 0) & (seen < areas.shape[1])
    if not known.any() or disputed.sum() < max(DISPUTED_FRAMES * known.sum(), 1):
        return []
    at = int(np.flatnonzero(disputed)[0])
    gone = areas.shape[1] - int(seen[at])
    words = (
        f"object {object_id}: members dispute on {int(disputed.sum())} frames whether it is there"
        f" (from frame {frames[at]}: {gone} of {areas.shape[1]} say it is gone)"
    )
    return [Flag("disputed absence", words, min(float(disputed.sum() / known.sum()), 1.0), at)]


def identity_swap(object_id: int, places: np.ndarray, frames: tuple[str, ...]) -> list[Flag]:
    """The first frame on which an object jumps to another's place; ``(T,)`` ids, 0: none."""
    jumps = np.flatnonzero(places > 0)
    if not len(jumps):
        return []
    at = int(jumps[0])
    words = f"object {object_id} takes the place of object {int(places[at])} at frame {frames[at]}"
    more = len(jumps) - 1
    words += f" (and {more} more time{'s' * (more > 1)})" if more else ""
    return [Flag("identity swap", words, min(0.8 + 0.05 * more, 1.0), at)]


def disputed_identity(object_id: int, places: np.ndarray, names: tuple[str, ...]) -> list[Flag]:
    """Members that have an object where the pseudo-label has another; ``(T, M)`` ids, 0: none."""
    known = int((~np.isnan(places)).any(axis=1).sum())
    disputed = (places > 0).any(axis=1)
    if not known or disputed.sum() < max(DISPUTED_FRAMES * known, 2):
        return []
    at = int(np.flatnonzero(disputed)[0])
    row = int((places > 0).sum(axis=0).argmax())
    ids, counts = np.unique(places[places > 0], return_counts=True)
    words = (
        f"object {object_id}: {names[row]} has it where the pseudo-label has object"
        f" {int(ids[counts.argmax()])}, on {int((places[:, row] > 0).sum())} frames"
    )
    share = float(disputed.sum() / known)
    return [Flag("disputed identity", words, min(0.3 + 0.7 * share, 1.0), at)]
