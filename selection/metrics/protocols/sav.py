"""SA-V: every object by itself, from the first frame on which truth or prediction has it.

Source: sav_dataset/utils/sav_benchmark.py of facebookresearch/sam2. Its labels have a folder of
binary masks for every object, and objects may overlap; on id masks its rule is the same.
"""

from selection.metrics.protocols.protocol import Counted, Missing, Protocol
from selection.metrics.protocols.vos_benchmark import conclude_from_first_sight

PROTOCOL = Protocol(
    name="sav",
    summary="as vos-benchmark; a video without masks is left out (SA-V)",
    server="the SA-V evaluator",
    conclude=conclude_from_first_sight,
    counted=Counted.SEEN,
    missing=Missing.LEFT_OUT,
    all_frames=True,
)
