"""What reaches the convolutions of a network, whoever has written the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

COLOURS = 3
MASKS = (1, 4, 5)
"""Channels of a convolution that sees masks: alone, or behind the image, with or without the plane
of the other objects."""


class Watching(TorchFunctionMode):
    """Within the block, notes the inputs of convolutions over images and over masks.

    images   of each convolution of three channels, in order: ``(3, H, W) float32``
    masks    the mask's plane of the first convolution that sees one: ``(H, W) float32``
    """

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Tensor] = []
        self.masks: list[Tensor] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is torch.conv2d:
            seen, filters = arguments[0], arguments[1]
            # The filters' side tells the first layer from what comes behind it.
            if seen.ndim == 4 and min(filters.shape[2:]) > 1:
                self._note(_plain(seen))
        return function(*arguments, **(keywords or {}))

    def _note(self, seen: Tensor) -> None:
        channels = seen.shape[1]
        if channels == COLOURS:
            self.images.append(seen[0])
        elif channels in MASKS and not self.masks:
            self.masks.append(seen[0, min(channels - 1, COLOURS)])


def _plain(seen: Tensor) -> Tensor:
    dense = seen.to_dense() if seen.is_mkldnn else seen
    return dense.detach().float().cpu()
