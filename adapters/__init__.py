"""One interface, many models: `load` an adapter, then `Segmenter.segment` a video."""

from adapters.base import FrameMasks, Segmenter
from adapters.registry import load

__all__ = ["FrameMasks", "Segmenter", "load"]
