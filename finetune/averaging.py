"""The mean of several trainings' weights (WiSE-FT, Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from adapters.weights.checkpoints import load_state
from mose import InputError


def average_checkpoints(shares: Mapping[Path, float]) -> dict[str, Tensor]:
    """The mean of checkpoints of one network by shares that add up to 1.

    Floating-point weights become float32; whole numbers, which are counts, are those of the
    first checkpoint. Raises `InputError` where the checkpoints are not of one network.
    """
    states = [(load_state(path), share) for path, share in shares.items()]
    (first, first_share), *others = states
    shapes = {name: tensor.shape for name, tensor in first.items()}
    if any({n: t.shape for n, t in state.items()} != shapes for state, _ in others):
        paths = " and ".join(str(path) for path in shares)
        raise InputError(f"{paths} are not of one network: average what has the same sizes")
    mean = {}
    for name, tensor in first.items():
        if tensor.is_floating_point():
            tensor = tensor.float() * first_share
            for state, share in others:
                tensor = tensor + state[name].float() * share
        mean[name] = tensor
    return mean
