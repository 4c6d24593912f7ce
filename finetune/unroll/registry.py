"""Which function unrolls which network."""

from __future__ import annotations

from typing import Any

from torch import nn

from adapters.networks.cutie import Cutie
from adapters.networks.livos import LiVOS
from adapters.networks.tmo import TMO
from adapters.networks.xmem import XMem
from finetune.checkpointing import CheckpointedNetwork
from finetune.data.batches import ClipBatch
from finetune.training_options import UnrollOptions
from finetune.unroll.base import Predictions, Unroll, UnrollInputs
from finetune.unroll.livos import unroll_livos
from finetune.unroll.matching import unroll_cutie, unroll_xmem
from finetune.unroll.sam2 import unroll_sam2
from finetune.unroll.tmo import unroll_tmo

UNROLLS: dict[type[nn.Module], Unroll] = {
    XMem: unroll_xmem,
    Cutie: unroll_cutie,
    LiVOS: unroll_livos,
    TMO: unroll_tmo,
    # SAM 2's class is made by its package, which may be absent: it comes last.
    nn.Module: unroll_sam2,
}


def unroll(
    network: nn.Module,
    clips: ClipBatch,
    options: UnrollOptions,
    seed: int,
    matching: bool = False,
) -> Predictions:
    """Predictions of a network for a batch of clips, see `UnrollInputs`."""
    function = next(run for kind, run in UNROLLS.items() if isinstance(network, kind))
    steps: Any = CheckpointedNetwork(network) if options.checkpointing else network
    return function(steps, UnrollInputs(clips, options, seed, matching))
