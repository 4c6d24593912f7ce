"""A procedural data set in MOSE layout, with labels on every frame.

Textured, jointed and deforming objects move over textured, moving backgrounds; they are
occluded, leave, come back and have look-alikes. The same seed gives the same bytes.
"""

from mose.synthetic.clip import Clip, Frame, iter_frames, make_clip
from mose.synthetic.config import PRESETS, SyntheticConfig
from mose.synthetic.dataset import write_dataset

__all__ = [
    "PRESETS",
    "Clip",
    "Frame",
    "SyntheticConfig",
    "iter_frames",
    "make_clip",
    "write_dataset",
]
