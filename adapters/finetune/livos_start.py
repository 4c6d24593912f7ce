"""The start of a LiVOS network that is trained from nothing, or from another network's parts.

Its state is divided by one number for the whole frame, not by what each place matched: what is
read is a few hundredths of what was stored, and far below what sensory memory says beside it. A
network that starts so learns to carry masks on from frame to frame and leaves its memory alone.
Here what is read and what is carried on start alike, and the state starts without fading, since
it fades by every frame of a video while the number it is divided by grows.
"""

from __future__ import annotations

import torch

from adapters.networks.livos import LiVOS

SHARE = 5.0
"""What is read is so many times a K-th of what was stored, of K channels (measured with keys
after 300 steps of the loss of matching: 4.9 for 128 channels)."""
OPEN = 4.0
"""Bias of the gate: the state keeps 0.98 of itself per frame."""


@torch.no_grad()
def start(network: LiVOS) -> None:
    """Weigh the readout of the state as much as sensory memory, and open the gate; in place."""
    factor = network.config.key_dim / SHARE
    network.readout_fusion.object_projection.weight.mul_(factor)
    for parameter in network.readout_sensory.parameters():
        parameter.div_(factor)
    network.gate_projection.weight.zero_()
    gate = network.gate_projection.bias
    assert gate is not None
    gate.fill_(OPEN)
