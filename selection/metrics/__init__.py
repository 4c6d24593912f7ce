"""J, F and every protocol's scores of id masks; pure functions and values."""

from selection.metrics.protocols import (
    PROTOCOLS,
    FrameScore,
    ObjectScores,
    Regions,
    VideoScorer,
    iou,
    jaccard,
    mean_scores,
    object_score,
)

__all__ = [
    "PROTOCOLS",
    "FrameScore",
    "ObjectScores",
    "Regions",
    "VideoScorer",
    "iou",
    "jaccard",
    "mean_scores",
    "object_score",
]
