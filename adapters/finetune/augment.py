"""Augmentation of clips: one geometry and one light for a clip, jitter for every frame.

All geometry is one matrix and one sampling, so that frames are blurred once, and masks,
moved by the nearest neighbour, stay masks.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.finetune.clip_options import AugmentOptions

LUMA = (0.299, 0.587, 0.114)


def augment(
    frames: Tensor, labels: Tensor, options: AugmentOptions, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A changed copy of a clip.

    frames ``(T, 3, H, W) float32`` in [0, 1], labels ``(T, H, W) uint8``; so are the results.
    """
    matrix = draw_geometry(options, rng)
    if matrix is not None:
        frames, labels = warped(frames, labels, matrix)
    strengths = (options.brightness, options.contrast, options.saturation)
    frames = adjusted(frames, *(_factor(strength, rng) for strength in strengths))
    if options.jitter:
        factors = [[_factor(options.jitter, rng) for _ in range(3)] for _ in frames]
        frames = torch.cat(
            [adjusted(f[None], *own) for f, own in zip(frames, factors, strict=True)]
        )
    if options.grey:
        chosen = torch.tensor(rng.random(len(frames)) < options.grey)
        frames = torch.where(chosen[:, None, None, None], luma(frames), frames)
    return frames, labels


def draw_geometry(options: AugmentOptions, rng: np.random.Generator) -> np.ndarray | None:
    """``(2, 3)``: where a result's point lies in the source, in [-1, 1]; None: unchanged."""
    mirrored = rng.random() < options.flip
    angle, shear = (
        math.radians(limit * rng.uniform(-1, 1)) for limit in (options.rotation, options.shear)
    )
    zoom = math.exp(math.log1p(options.scale) * rng.uniform(-1, 1))
    shift = 2 * options.shift * rng.uniform(-1, 1, 2)
    if not (mirrored or angle or shear or zoom != 1 or shift.any()):
        return None
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    lean = np.array([[1, math.tan(shear)], [0, 1]])
    mirror = np.diag([-1.0 if mirrored else 1.0, 1.0])
    return np.column_stack([turn @ lean @ mirror / zoom, shift])


def warped(frames: Tensor, labels: Tensor, matrix: np.ndarray) -> tuple[Tensor, Tensor]:
    """A clip seen through a matrix of `draw_geometry`; beyond the border it is mirrored.

    For square clips: in others a rotation shears.
    """
    theta = torch.tensor(matrix, dtype=torch.float32)[None]
    grid = F.affine_grid(theta, [1, 1, *frames.shape[2:]], align_corners=False)
    # All frames of a clip as channels of one image: the grid is worked on once.
    together = frames.flatten(0, 1)[None]
    moved = F.grid_sample(together, grid, "bilinear", "reflection", align_corners=False)
    ids = F.grid_sample(labels[None].float(), grid, "nearest", "reflection", align_corners=False)
    return moved[0].unflatten(0, (-1, 3)).clamp(0, 1), ids[0].to(labels.dtype)


def adjusted(frames: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """``(T, 3, H, W)`` times ``brightness``, away from the mean grey by ``contrast``, away
    from each pixel's grey by ``saturation``; 1 changes nothing."""
    if brightness != 1:
        frames = (frames * brightness).clamp(0, 1)
    if contrast != 1:
        mean = luma(frames).mean()
        frames = (mean + (frames - mean) * contrast).clamp(0, 1)
    if saturation != 1:
        grey = luma(frames)
        frames = (grey + (frames - grey) * saturation).clamp(0, 1)
    return frames


def luma(frames: Tensor) -> Tensor:
    """Grey ``(T, 1, H, W)`` of RGB (ITU-R BT.601)."""
    weights = frames.new_tensor(LUMA)[:, None, None]
    return (frames * weights).sum(1, keepdim=True)


def _factor(strength: float, rng: np.random.Generator) -> float:
    return 1 + strength * rng.uniform(-1, 1)
