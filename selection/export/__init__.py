"""Selected masks in other forms: for training, for annotation tools, as videos."""

from selection.export.coco import coco, youtube_vis
from selection.export.cvat import write_cvat
from selection.export.davis import write_davis
from selection.export.fiftyone import write_fiftyone
from selection.export.labelstudio import write_labelstudio
from selection.export.labelstudio_video import write_labelstudio_video
from selection.export.overlay import write_overlays
from selection.export.source import RunMasks, open_run_masks
from selection.export.training import frame_weights, write_training

__all__ = [
    "RunMasks",
    "coco",
    "frame_weights",
    "open_run_masks",
    "write_cvat",
    "write_davis",
    "write_fiftyone",
    "write_labelstudio",
    "write_labelstudio_video",
    "write_overlays",
    "write_training",
    "youtube_vis",
]
