"""The MOSE data set format: videos, masks, data sets, submissions.

Videos are folders of JPEG frames (``JPEGImages/<video>/00000.jpg``) with palette PNG
masks of object ids beside them (``Annotations/<video>/00000.png``).
"""

from mose.video import Video, open_video
from stseg.errors import InputError

__all__ = ["InputError", "Video", "open_video"]
