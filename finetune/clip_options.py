"""The options of a recipe for clips and their augmentation. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mose import InputError

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class DataOptions:
    """Where clips come from and what they are like.

    dataset      is the root folder of a data set in any layout of `mose.layout`, or ``synthetic``
    split        names the split of the data set
    labels       is the folder of full labels; nothing: the given masks are full labels
    videos       lists names or shell patterns of videos; empty: all
    exclude      lists names or shell patterns of videos to leave out
    preset       is the difficulty of synthetic clips: easy, default or hard
    synthetic    sets knobs of `mose.synthetic.SyntheticConfig` over the preset
    enlarge      is the share of synthetic clips that are drawn at half the size and enlarged, as
                 small videos are before a network sees them
    size         is the height and width of a clip, a multiple of 16 (TMO and SAM 2: of 32); a SAM 2
                 that goes on from weights works at this size from then on
    frames       is the number of frames of a clip
    objects      is the largest number of objects of a clip
    frame_step   is the (low, high) distance between a clip's frames in a data set's video
    crop         is the least side of a crop, as a share of the shorter side of a video
    """

    dataset: str = SYNTHETIC
    split: str = "train"
    labels: str | None = None
    videos: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    preset: str = "default"
    synthetic: Mapping[str, Any] = field(default_factory=dict)
    enlarge: float = 0.0
    size: int = 128
    frames: int = 4
    objects: int = 2
    frame_step: tuple[int, ...] = (1, 5)
    crop: float = 0.6

    def __post_init__(self) -> None:
        for name, value, low in (
            ("size", self.size, 32),
            ("frames", self.frames, 2),
            ("objects", self.objects, 1),
        ):
            if value < low:
                raise InputError(f"data.{name} is {value}, expected at least {low}")
        if not 0 <= self.enlarge <= 1:
            raise InputError(f"data.enlarge is {self.enlarge}, expected a share in [0, 1]")
        if self.size % 16:
            raise InputError(f"data.size is {self.size}, expected a multiple of 16")
        if len(self.frame_step) != 2 or not 1 <= self.frame_step[0] <= self.frame_step[1]:
            raise InputError(f"data.frame_step is {self.frame_step}, expected two rising numbers")
        if not 0 < self.crop <= 1:
            raise InputError(f"data.crop is {self.crop}, expected a share in (0, 1]")


@dataclass(frozen=True)
class AugmentOptions:
    """Ranges of what is drawn; 0 is off.

    flip          is the share of clips that are mirrored
    rotation      is the largest rotation to either side, in degrees
    shear         is the largest shear to either side, in degrees
    scale         enlarges up to ``1 + scale``, or shrinks down to ``1 / (1 + scale)``
    shift         is the largest shift to either side, as a share of the clip's side
    brightness    multiplies the brightness of a clip by a factor in ``1 - x .. 1 + x``
    contrast      changes the contrast of a clip likewise
    saturation    changes the saturation of a clip likewise
    jitter        changes brightness, contrast and saturation of every frame by itself, likewise
    grey          is the share of frames without colour
    motion_blur   is the share of clips that are blurred along one direction
    blur_length   is the length of the longest such blur, in pixels, odd
    paste         is the share of clips that get an object of another clip, to follow or to mislead
    occlude       is the share of clips in which something passes in front of an object
    """

    flip: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    jitter: float = 0.0
    grey: float = 0.0
    motion_blur: float = 0.0
    blur_length: int = 9
    paste: float = 0.0
    occlude: float = 0.0

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "shear": 60.0, "scale": 4.0}
        if not (3 <= self.blur_length <= 31 and self.blur_length % 2):
            raise InputError(
                f"augment.blur_length is {self.blur_length}, expected an odd number from 3 to 31"
            )
        for option in fields(self):
            if option.name == "blur_length":
                continue
            value, limit = getattr(self, option.name), limits.get(option.name, 1.0)
            if not 0 <= value <= limit:
                raise InputError(
                    f"augment.{option.name} is {value}, expected a number from 0 to {limit:g}"
                )
