"""Runs a network over a batch of clips."""

from __future__ import annotations

from typing import Any

from torch import nn

from finetune.checkpointing import CheckpointedNetwork
from finetune.trainable import trainable
from finetune.unroll.base import Predictions, UnrollInputs


def unroll(name: str, network: nn.Module, inputs: UnrollInputs) -> Predictions:
    """The predictions of a network, by its name among the trainable ones."""
    steps: Any = CheckpointedNetwork(network) if inputs.options.checkpointing else network
    return trainable(name).unroll(steps, inputs)
