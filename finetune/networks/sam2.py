"""SAM 2 as a network to train: how it is made, started and loaded, and the names of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from adapters.sam2.config import Sam2Config
from adapters.sam2.model import build, load
from finetune.start.sam2 import start_matching
from finetune.trainable import TrainableNetwork
from finetune.unroll.sam2 import unroll_sam2


class SameNames:
    """Names of weights here and in the published checkpoints: the same."""

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(state)

    to_official = from_official


def make_sam2(config: Sam2Config) -> nn.Module:
    """A network with random weights; `start` lets it learn to read memory."""
    model: Any = build(config, dropout=0.0)
    model.config = config
    return model


def start(model: Any) -> None:
    """Let an untrained network match by appearance, in place.

    See `finetune.start.sam2`; its image encoder may be trained already.
    """
    training = model.training
    start_matching(model.eval(), model.config)
    model.train(training)


def load_sam2(path: Path, size: int | None = None) -> nn.Module:
    """The network of a checkpoint, to be trained further on clips of ``size``; None: its own.

    The network works at that size from then on, and the weights say so. If clips were reduced to
    its old size, it would learn to match at a size at which no adapter runs it.
    """
    model: Any
    model, config = load(path)
    config = replace(config, image_size=size or config.image_size)
    fresh: Any = build(config, dropout=0.0)
    fresh.load_state_dict(model.state_dict())
    fresh.config = config
    return fresh


NETWORK = TrainableNetwork(
    config=Sam2Config,
    build=make_sam2,
    load=load_sam2,
    names=SameNames(),
    unroll=unroll_sam2,
    start=start,
    multiple=32,
)
