"""LiVOS as a member."""

from adapters.livos.segmenter import LivosSegmenter

__all__ = ["LivosSegmenter"]
