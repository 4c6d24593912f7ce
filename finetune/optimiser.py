"""Parameter groups with their rates, frozen batch norms, and the moving average."""

from __future__ import annotations

import fnmatch
from typing import TypedDict

import torch
from torch import Tensor, nn

from finetune.training_options import OptimiserOptions
from mose import InputError


class ParameterGroup(TypedDict):
    """Parameters as `torch.optim` takes them; ``factor`` multiplies the rate."""

    params: list[nn.Parameter]
    factor: float
    weight_decay: float


def parameter_groups(network: nn.Module, options: OptimiserOptions) -> list[ParameterGroup]:
    """Parameters by rate factor and weight decay; those with factor 0 need no gradient.

    Raises `InputError` for a pattern that no parameter's name matches.
    """
    used: set[str] = set()
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        pattern = next((p for p in options.rates if fnmatch.fnmatchcase(name, p)), None)
        factor = 1.0 if pattern is None else float(options.rates[pattern])
        if pattern is not None:
            used.add(pattern)
        parameter.requires_grad_(factor > 0)
        if factor > 0:
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    for pattern in options.rates:
        if pattern not in used:
            example = next(name for name, _ in network.named_parameters())
            raise InputError(
                f"optimiser.rates: no parameter is left for the pattern '{pattern}'"
                f" (names look like {example}): change or move it"
            )
    if not groups:
        raise InputError("optimiser.rates freezes every parameter: leave one to train")
    return [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def freeze_norms(network: nn.Module) -> None:
    """Let batch norms use their present statistics and keep them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def update_average(average: dict[str, Tensor], state: dict[str, Tensor], decay: float) -> None:
    """Move an average towards a state, in place; values that are not floats are copied."""
    floats = [name for name, value in state.items() if value.is_floating_point()]
    torch._foreach_lerp_([average[n] for n in floats], [state[n] for n in floats], 1 - decay)
    for name in state.keys() - set(floats):
        average[name].copy_(state[name])
