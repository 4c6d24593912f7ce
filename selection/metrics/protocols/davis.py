"""DAVIS 2017 and MOSE v1: every object counts on every frame but the first and the last.

Source: Pont-Tuset et al., The 2017 DAVIS Challenge, section 4, and davis2017-evaluation.
"""

from selection.metrics.protocols.protocol import Protocol

PROTOCOL = Protocol(
    name="davis",
    summary="J and F; first and last frame left out (DAVIS 2017, MOSE v1)",
    server="the DAVIS server",
    ids_refused=True,
    void_hidden=True,
)
