"""VISOR: as DAVIS, but the last frame counts, and the objects are those of the first mask.

Source: evaldavis2017 of epic-kitchens/VISOR-VOS.
"""

from selection.metrics.protocols.protocol import Counted, Protocol

PROTOCOL = Protocol(
    name="visor",
    summary="as davis, but the last frame counts; objects of the first mask (VISOR)",
    server="the VISOR evaluator",
    last=0,
    counted=Counted.FIRST_MASK,
    ids_refused=True,
)
