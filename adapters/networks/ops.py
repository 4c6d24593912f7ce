"""Small tensor operations that all networks share. Objects are a leading dimension."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.expansion import AGGREGATE_EPS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Window = tuple[int, int, int, int]
"""(top, left, height, width) of a picture inside its padded form."""


def normalise(images: Tensor) -> Tensor:
    """RGB ``(..., 3, H, W)`` in [0, 1] -> zero mean and unit deviation over ImageNet."""
    mean = images.new_tensor(IMAGENET_MEAN)[:, None, None]
    std = images.new_tensor(IMAGENET_STD)[:, None, None]
    return (images - mean) / std


def aggregate(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Soft aggregation: N object probabilities -> N + 1 log-odds, background first.

    The N objects lie along ``dim``. The background is the product of the complements;
    everything is clamped to [1e-7, 1 - 1e-7] first (STM, Oh et al. 2019, Eq. 2-3).
    Always in float32: the clamp is below half precision.
    """
    probabilities = probabilities.float()
    background = torch.prod(1 - probabilities, dim=dim, keepdim=True)
    joint = torch.cat([background, probabilities], dim).clamp(AGGREGATE_EPS, 1 - AGGREGATE_EPS)
    return torch.log(joint / (1 - joint))


def others(masks: Tensor, dim: int = 0, clamp: bool = False) -> Tensor:
    """For each mask along ``dim`` the sum of all the other ones, same shape.

    ``clamp`` limits the sum to [0, 1] (Cutie, LiVOS; XMem does not).
    """
    rest = masks.sum(dim, keepdim=True) - masks
    return rest.clamp(0, 1) if clamp else rest


def pad_to_multiple(x: Tensor, multiple: int = 16, value: float = 0) -> tuple[Tensor, Window]:
    """Pad ``(..., H, W)`` with ``value`` to multiples, the smaller half at the top and left.

    Returns the padded tensor and where the picture lies in it. No copy where it fits.
    """
    height, width = x.shape[-2:]
    down, right = -height % multiple, -width % multiple
    top, left = down // 2, right // 2
    if down or right:
        x = F.pad(x, (left, right - left, top, down - top), value=value)
    return x, (top, left, height, width)


def unpad(x: Tensor, window: Window) -> Tensor:
    """The picture inside a padded one: a view ``(..., height, width)``."""
    top, left, height, width = window
    return x[..., top : top + height, left : left + width]


def resize(
    x: Tensor, size: tuple[int, int], mode: str = "bilinear", antialias: bool = False
) -> Tensor:
    """Resize ``(B, C, H, W)`` to ``size`` (height, width); corners are not aligned.

    mode   "bilinear", "nearest", "nearest-exact" or "bicubic"
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if mode.startswith("nearest"):
        return F.interpolate(x, size, mode=mode)
    return F.interpolate(x, size, mode=mode, align_corners=False, antialias=antialias)


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement of ``(B, C, h, w)`` by a whole factor, corners not aligned."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def area_downsample(x: Tensor, factor: int) -> Tensor:
    """Mean over ``factor`` x ``factor`` squares of ``(B, C, h, w)``; h and w are multiples."""
    return F.avg_pool2d(x, factor)


def short_side_size(height: int, width: int, short: int) -> tuple[int, int]:
    """(height, width) with the shorter side ``short`` and the aspect kept, rounded down."""
    if height <= width:
        return short, max(int(short * width / height), short)
    return max(int(short * height / width), short), short


def per_object(x: Tensor, objects: int) -> Tensor:
    """Repeat per-image maps ``(B, ...)`` for the objects of each: ``(B * objects, ...)``.

    An expanded view where B is 1.
    """
    if objects == 1:
        return x
    if x.shape[0] == 1:
        return x.expand(objects, *x.shape[1:])
    return x.repeat_interleave(objects, dim=0)
