"""J, F and every protocol's scores of id masks; pure functions and values."""

from selection.metrics.frames import NOWHERE, FrameScore
from selection.metrics.protocols import (
    PROTOCOLS,
    REGISTRY,
    ObjectScores,
    ScoredObject,
    mean_scores,
    protocol_named,
)
from selection.metrics.regions import Regions, iou, jaccard
from selection.metrics.scorer import VideoScorer, conclude, object_score

__all__ = [
    "NOWHERE",
    "PROTOCOLS",
    "REGISTRY",
    "FrameScore",
    "ObjectScores",
    "Regions",
    "ScoredObject",
    "VideoScorer",
    "conclude",
    "iou",
    "jaccard",
    "mean_scores",
    "object_score",
    "protocol_named",
]
