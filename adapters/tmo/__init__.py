"""TMO as a member."""

from adapters.tmo.segmenter import TMOSegmenter

__all__ = ["TMOSegmenter"]
