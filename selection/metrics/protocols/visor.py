"""VISOR: as DAVIS, but the last frame counts, and the objects are those of the first mask.

Source: evaldavis2017 of epic-kitchens/VISOR-VOS. Its results are given for all videos, and for
those of kitchens that the training set does not have (``val_unseen.txt``).
"""

from __future__ import annotations

from collections.abc import Sequence

from selection.metrics.protocols.protocol import (
    Counted,
    ObjectScores,
    Protocol,
    ScoredObject,
    mean_objects,
)


def combine(objects: Sequence[ScoredObject]) -> ObjectScores:
    """Means over all objects, and over those of unseen kitchens."""
    unseen = mean_objects([item for item in objects if item.unseen])
    return mean_objects(objects) | {
        f"{name}_unseen": unseen.get(name) for name in ("J&F", "J", "F")
    }


PROTOCOL = Protocol(
    name="visor",
    summary="as davis, but the last frame counts; objects of the first mask (VISOR)",
    server="the VISOR evaluator",
    columns=("J&F", "J", "F", "J&F_unseen", "J_unseen", "F_unseen"),
    combine=combine,
    last=0,
    counted=Counted.FIRST_MASK,
    ids_refused=True,
    kinds=True,
)
