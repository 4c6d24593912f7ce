"""The MOSE data set format: videos, masks, data sets, submissions.

Videos are folders of JPEG frames (``JPEGImages/<video>/00000.jpg``) with palette PNG
masks of object ids beside them (``Annotations/<video>/00000.png``).
"""

from mose.errors import InputError
from mose.video import Video, open_video

__all__ = ["InputError", "Video", "open_video"]
