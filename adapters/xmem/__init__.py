"""XMem as a member."""

from adapters.xmem.segmenter import XMemSegmenter

__all__ = ["XMemSegmenter"]
