"""What training needs to know of a network, and which networks can be trained.

A module of `finetune.networks`, named like the adapter, makes a network trainable: it defines
``NETWORK``, a `TrainableNetwork`. Nothing here imports torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from finetune import networks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from finetune.unroll.base import Unroll


class WeightNames(Protocol):
    """The project's names of weights and those of published checkpoints, such as
    `adapters.networks.naming.Naming`."""

    def from_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]: ...
    def to_official(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class TrainableNetwork:
    """A network that can be trained.

    config     the dataclass of its sizes
    build      makes the network of a configuration, with random weights
    load       makes the network of a checkpoint, to go on with clips of a given size
    names      of its weights
    unroll     runs it over a clip
    start      prepares a network of random weights to learn; None: there is nothing to prepare
    multiple   the side of a clip is a multiple of it
    pictures   it sees pictures of the flow beside the frames
    """

    config: type
    build: Callable[[Any], nn.Module]
    load: Callable[[Path, int], nn.Module]
    names: WeightNames
    unroll: Unroll
    start: Callable[[Any], None] | None = None
    multiple: int = 16
    pictures: bool = False


def network_names() -> tuple[str, ...]:
    """The networks that can be trained, by the names of their adapters."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(networks.__path__)))


def trainable(name: str) -> TrainableNetwork:
    """One of `network_names`; imports torch."""
    made: TrainableNetwork = importlib.import_module(f"{networks.__name__}.{name}").NETWORK
    return made
