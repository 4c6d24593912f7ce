"""Selected masks in other forms: COCO, YouTube-VIS, training pseudo-labels, overlay videos."""

from selection.export.coco import coco, youtube_vis
from selection.export.overlay import write_overlays
from selection.export.source import RunMasks, open_run_masks
from selection.export.training import frame_weights, write_training

__all__ = [
    "RunMasks",
    "coco",
    "frame_weights",
    "open_run_masks",
    "write_overlays",
    "write_training",
    "youtube_vis",
]
