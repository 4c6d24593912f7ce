"""Cutie as a member."""

from adapters.cutie.segmenter import CutieSegmenter

__all__ = ["CutieSegmenter"]
