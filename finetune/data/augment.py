"""Augmentation of clips with kornia: one geometry, light and blur for a clip, jitter for every
frame.

Masks go through the same geometry with the nearest neighbour, so that they stay masks; beyond
the border both are mirrored. The result depends on the generator alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from finetune.clip_options import AugmentOptions
from mose import InputError

SHORTEST_BLUR = 3


def augment(
    frames: Tensor, labels: Tensor, options: AugmentOptions, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A changed copy of a clip.

    frames ``(T, 3, H, W) float32`` in [0, 1], labels ``(T, H, W) uint8``; so are the results.
    """
    clip, frame = steps(options)
    if clip is None and not frame:
        return frames, labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        if clip is not None:
            moved, planes = clip(frames[None], labels[None, :, None].float())
            frames, labels = moved[0], planes[0, :, 0].round().to(labels.dtype)
        for step in frame:
            frames = step(frames)
    return frames.clamp(0, 1), labels


@lru_cache
def steps(options: AugmentOptions) -> tuple[nn.Module | None, Sequence[nn.Module]]:
    """The augmentation of a clip as a whole, with its masks (None if there is none), and that of
    every frame by itself."""
    kornia = _kornia()
    clip: list[nn.Module] = []
    if options.flip:
        clip.append(kornia.RandomHorizontalFlip(p=options.flip))
    if options.rotation or options.shear or options.scale or options.shift:
        largest = 1 + options.scale
        clip.append(
            kornia.RandomAffine(
                degrees=options.rotation,
                translate=(options.shift, options.shift),
                scale=(1 / largest, largest),
                shear=(-options.shear, options.shear),
                padding_mode="reflection",
                align_corners=False,
                p=1.0,
            )
        )
    if options.brightness or options.contrast or options.saturation:
        clip.append(
            kornia.ColorJitter(options.brightness, options.contrast, options.saturation, p=1.0)
        )
    if options.motion_blur:
        clip.append(
            kornia.RandomMotionBlur(
                kernel_size=(SHORTEST_BLUR, options.blur_length),
                angle=180.0,
                direction=0.0,
                border_type="replicate",
                resample="bilinear",
                p=options.motion_blur,
            )
        )
    frame: list[nn.Module] = []
    if options.jitter:
        frame.append(kornia.ColorJitter(options.jitter, options.jitter, options.jitter, p=1.0))
    if options.grey:
        frame.append(kornia.RandomGrayscale(p=options.grey))
    if not clip:
        return None, frame
    together = kornia.VideoSequential(*clip, data_format="BTCHW", same_on_frame=True)
    nearest = {"resample": "nearest", "align_corners": False}
    return kornia.AugmentationSequential(
        together, data_keys=["input", "mask"], extra_args={_mask_key(): nearest}
    ), frame


def _kornia() -> Any:
    try:
        import kornia.augmentation
    except ImportError as error:
        raise InputError(
            f"training needs kornia, which cannot be imported ({error}): pip install 'stseg[train]'"
        ) from None
    return kornia.augmentation


def _mask_key() -> Any:
    from kornia.constants import DataKey

    return DataKey.MASK
