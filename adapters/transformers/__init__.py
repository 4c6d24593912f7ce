"""Networks of SAM 2's kind in the format of package ``transformers``: SAM 3, SAM 2, EdgeTAM.

network     the steps of `adapters.sam2.network` on the modules of ``transformers``
edgetam     what EdgeTAM does otherwise, and repvit, its image encoder
loading     a folder of weights, and what is said where it does not fit
segmenter   the adapter; how objects are followed is in `adapters.sam2`
"""

from adapters.transformers.segmenter import TransformersSegmenter

__all__ = ["TransformersSegmenter"]
