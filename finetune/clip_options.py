"""The options of a recipe for clips and their augmentation. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mose import InputError
from mose.synthetic.config import PRESETS
from stseg.options import Limits, option

SYNTHETIC = "synthetic"

SHARE = Limits(least=0, most=1)


@dataclass(frozen=True)
class LabelledVideos:
    """Which videos of which data set, and where their labels are."""

    dataset: str = option(SYNTHETIC, doc="The root folder of a data set, or `synthetic`.")
    split: str = option("train", doc="The split of the data set.")
    labels: str | None = option(
        None,
        doc="The folder of full labels. Without one, the given masks of the data set are taken"
        " for full labels.",
    )
    videos: tuple[str, ...] = option(
        (), doc="Names of videos, or patterns such as `f[0-3]*`; an empty list means all."
    )
    exclude: tuple[str, ...] = option((), doc="Names or patterns of videos to leave out.")


@dataclass(frozen=True)
class DataOptions(LabelledVideos):
    """Where clips come from, and what they are like."""

    dataset: str = option(
        SYNTHETIC,
        doc="The root folder of a data set, in any layout of `mose.layout`, or `synthetic` for"
        " clips that are drawn.",
    )
    weights: str | None = option(
        None,
        doc="A JSON file, video -> frame -> object id -> weight in [0, 1], of how much each mask of"
        " the data set counts in the losses. What is not in it counts fully.",
    )
    labelled: str | None = option(
        None,
        doc="The root folder of another data set, with full labels, from which a share of the clips"
        " is drawn. `exclude` leaves out videos of both.",
    )
    labelled_share: float = option(0.25, doc="That share.", limits=SHARE)
    preset: str = option("default", doc="How difficult synthetic clips are.", choices=PRESETS)
    synthetic: Mapping[str, object] = option(
        dict, doc="Fields of `mose.synthetic.SyntheticConfig` that differ from the preset."
    )
    enlarge: float = option(
        0.0,
        doc="The share of synthetic clips that are drawn at half the size and enlarged, because"
        " small videos are enlarged before a network sees them.",
        limits=SHARE,
    )
    size: int = option(
        128,
        doc="The height and width of a clip in pixels; TMO and SAM 2 need a multiple of 32. A SAM"
        " 2 that starts from weights works at this size from then on.",
        least=32,
        multiple_of=16,
    )
    frames: int = option(4, doc="The number of frames of a clip.", least=2)
    objects: int = option(2, doc="The largest number of objects of a clip.", least=1)
    frame_step: tuple[int, int] = option(
        (1, 5),
        doc="The smallest and the largest distance between two frames of a clip in its video.",
        least=1,
    )
    crop: float = option(
        0.6,
        doc="The smallest side of a crop, as a share of the shorter side of the video.",
        above=0,
        most=1,
    )

    def __post_init__(self) -> None:
        if self.frame_step[0] > self.frame_step[1]:
            raise InputError(f"data.frame_step is {self.frame_step}, expected two rising numbers")


@dataclass(frozen=True)
class AugmentOptions:
    """How much clips are changed at random; 0 turns a change off."""

    flip: float = option(0.0, doc="The share of clips that are mirrored.", limits=SHARE)
    rotation: float = option(
        0.0, doc="The largest rotation to either side, in degrees.", least=0, most=180
    )
    shear: float = option(
        0.0, doc="The largest shear to either side, in degrees.", least=0, most=60
    )
    scale: float = option(
        0.0,
        doc="Clips are enlarged up to `1 + scale` times, or shrunk down to `1 / (1 + scale)`.",
        least=0,
        most=4,
    )
    shift: float = option(
        0.0,
        doc="The largest shift to either side, as a share of the side of the clip.",
        limits=SHARE,
    )
    brightness: float = option(
        0.0,
        doc="The brightness of a clip is multiplied by a factor between `1 - x` and `1 + x`.",
        limits=SHARE,
    )
    contrast: float = option(
        0.0, doc="The contrast of a clip is changed in the same way.", limits=SHARE
    )
    saturation: float = option(
        0.0, doc="The saturation of a clip is changed in the same way.", limits=SHARE
    )
    jitter: float = option(
        0.0,
        doc="Brightness, contrast and saturation of every single frame are changed in the same"
        " way.",
        limits=SHARE,
    )
    grey: float = option(0.0, doc="The share of frames that lose their colour.", limits=SHARE)
    motion_blur: float = option(
        0.0, doc="The share of clips that are blurred along one direction.", limits=SHARE
    )
    blur_length: int = option(
        9, doc="The length of the longest such blur in pixels, an odd number.", least=3, most=31
    )
    paste: float = option(
        0.0,
        doc="The share of clips that get an object of another clip, which is either another object"
        " to follow or there to mislead.",
        limits=SHARE,
    )
    occlude: float = option(
        0.0,
        doc="The share of clips in which something passes in front of an object.",
        limits=SHARE,
    )

    def __post_init__(self) -> None:
        if self.blur_length % 2 == 0:
            raise InputError(f"augment.blur_length is {self.blur_length}, expected an odd number")
