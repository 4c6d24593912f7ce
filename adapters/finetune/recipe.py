"""What a recipe may say: typed, strict, with defaults. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mose import InputError
from mose.config import assign, build, one_of, read_yaml

NETWORKS = ("xmem", "cutie", "livos", "tmo")
SCHEDULES = ("cosine", "step")
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class DataOptions:
    """Where clips come from and what they are like.

    dataset      root folder of a data set in any layout of `mose.dataset`, or ``synthetic``
    split        of the data set
    labels       folder of full labels; nothing: the given masks are full labels
    videos       names or shell patterns; empty: all
    exclude      names or shell patterns to leave out
    preset       difficulty of synthetic clips
    synthetic    knobs of `mose.synthetic.SyntheticConfig` over the preset
    size         height and width of a clip, a multiple of 16 (TMO: of 32)
    frames       frames of a clip
    objects      at most so many objects
    frame_step   (low, high) distance between a clip's frames in a data set's video
    crop         least side of a crop, as a share of the shorter side of a video
    """

    dataset: str = SYNTHETIC
    split: str = "train"
    labels: str | None = None
    videos: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    preset: str = "default"
    synthetic: Mapping[str, Any] = field(default_factory=dict)
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
        if self.size % 16:
            raise InputError(f"data.size is {self.size}, expected a multiple of 16")
        if len(self.frame_step) != 2 or not 1 <= self.frame_step[0] <= self.frame_step[1]:
            raise InputError(f"data.frame_step is {self.frame_step}, expected two rising numbers")
        if not 0 < self.crop <= 1:
            raise InputError(f"data.crop is {self.crop}, expected a share in (0, 1]")


@dataclass(frozen=True)
class AugmentOptions:
    """Ranges of what is drawn; 0 is off.

    flip          share of clips that are mirrored
    rotation      degrees to either side
    shear         degrees to either side
    scale         enlargement up to ``1 + scale``, or shrinking down to ``1 / (1 + scale)``
    shift         to either side, as a share of the clip's side
    brightness    of the clip: a factor in ``1 - x .. 1 + x``
    contrast      of the clip, likewise
    saturation    of the clip, likewise
    jitter        of every frame: brightness, contrast and saturation likewise
    grey          share of frames without colour
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

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "shear": 60.0, "scale": 4.0}
        for option in fields(self):
            value, limit = getattr(self, option.name), limits.get(option.name, 1.0)
            if not 0 <= value <= limit:
                raise InputError(
                    f"augment.{option.name} is {value}, expected a number from 0 to {limit:g}"
                )


@dataclass(frozen=True)
class UnrollOptions:
    """How clips are unrolled.

    mem_every   every so many frames one is remembered (XMem, Cutie); LiVOS remembers all
    rgb_share   share of the clips in which TMO sees the frame in place of its flow picture
    """

    mem_every: int = 1
    rgb_share: float = 0.5


@dataclass(frozen=True)
class LossOptions:
    """Weights of the losses in the total, see `adapters.finetune.losses`; 0 is off.

    cross_entropy   over background and objects
    hardest         share of the pixels that cross-entropy counts in the end, see ``hardening``
    hardening       (start, end) as shares of the schedule, between which it falls from 1
    dice, focal     of every object's mask
    mask_iou        of the IoU that a network predicts of its masks
    object_score    of whether an object is visible
    similarity      of an object's features in the first frame and later
    auxiliary       cross-entropy and Dice of heads at stride 16, each like the main one
    """

    cross_entropy: float = 1.0
    hardest: float = 0.15
    hardening: tuple[float, ...] = (0.15, 0.5)
    dice: float = 1.0
    focal: float = 0.0
    mask_iou: float = 0.0
    object_score: float = 0.0
    similarity: float = 0.0
    auxiliary: float = 0.0

    def __post_init__(self) -> None:
        for option in fields(self):
            if option.name != "hardening" and getattr(self, option.name) < 0:
                raise InputError(f"loss.{option.name} is negative: expected 0 or more")
        if not 0 < self.hardest <= 1:
            raise InputError(f"loss.hardest is {self.hardest}, expected a share in (0, 1]")
        if len(self.hardening) != 2 or not 0 <= self.hardening[0] <= self.hardening[1] <= 1:
            raise InputError(
                f"loss.hardening is {self.hardening}, expected two rising shares in [0, 1]"
            )


@dataclass(frozen=True)
class OptimiserOptions:
    """AdamW and its schedule.

    rate           the largest rate
    weight_decay   of matrices and convolutions; biases, norms and embeddings have none
    betas          of AdamW
    clip           largest norm of the gradient; 0: any
    schedule       cosine, or step: a tenth at every milestone
    warm_up        steps of linear rise
    final          share of ``rate`` at the end of a cosine
    milestones     shares of the schedule
    rates          factors by patterns of parameter names, the first match counts; 0 freezes
    freeze_norms   batch norms keep their statistics (fine-tuning)
    ema            decay of the moving average of the weights; 0: none
    """

    rate: float = 1e-4
    weight_decay: float = 0.01
    betas: tuple[float, ...] = (0.9, 0.999)
    clip: float = 1.0
    schedule: str = "cosine"
    warm_up: int = 0
    final: float = 0.01
    milestones: tuple[float, ...] = (0.8,)
    rates: Mapping[str, Any] = field(default_factory=dict)
    freeze_norms: bool = False
    ema: float = 0.0

    def __post_init__(self) -> None:
        one_of("optimiser.schedule", self.schedule, SCHEDULES)
        if not 0 <= self.ema < 1:
            raise InputError(f"optimiser.ema is {self.ema}, expected a decay in [0, 1)")
        if len(self.betas) != 2:
            raise InputError(f"optimiser.betas is {self.betas}, expected two numbers")
        if self.rate <= 0 or self.warm_up < 0 or self.clip < 0:
            raise InputError("optimiser.rate must be positive, warm_up and clip 0 or more")
        for pattern, factor in self.rates.items():
            if isinstance(factor, bool) or not isinstance(factor, (int, float)) or factor < 0:
                raise InputError(f"optimiser.rates: {pattern} is {factor!r}, expected a factor")

    def rate_at(self, step: int, steps: int) -> float:
        """The rate of step 0 .. ``steps`` - 1."""
        if step < self.warm_up:
            return self.rate * (step + 1) / (self.warm_up + 1)
        if self.schedule == "step":
            return self.rate * 0.1 ** sum(step >= share * steps for share in self.milestones)
        done = (step - self.warm_up) / max(steps - self.warm_up, 1)
        return self.rate * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)


@dataclass(frozen=True)
class ValidationOptions:
    """The hold-out that decides which checkpoint is best.

    every      steps between two validations, and at the end; 0: none
    dataset    root folder of a data set, or ``synthetic``
    split      of the data set
    labels     folder of full labels; nothing: the given masks are full labels
    videos     names or shell patterns; empty: all
    exclude    names or shell patterns to leave out
    count      synthetic videos
    frames     of a synthetic video
    size       height and width of a synthetic video
    objects    of a synthetic video
    options    of the adapter
    """

    every: int = 0
    dataset: str = SYNTHETIC
    split: str = "valid"
    labels: str | None = None
    videos: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    count: int = 6
    frames: int = 16
    size: int = 192
    objects: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    network      xmem, cutie, livos or tmo
    weights      checkpoint to start from, a path or a name from configs/weights.yaml;
                 nothing: random weights of the sizes below
    sizes        of a network that starts from random weights: fields of its configuration
    warm_start   with sizes: checkpoint of any model; what has the same name and shape in it
                 starts from there (encoders are shared between models)
    seed         of weights, clips and augmentation
    steps        of the optimiser
    batch        clips at a time
    accumulate   batches per step
    workers      processes that make clips; 0: none, they are made in between
    threads      of the trainer's own arithmetic on a CPU; 0: as many as there are cores
    device       cpu, cuda, cuda:<number> or mps
    amp          bfloat16 where autocast sees fit
    save_every   steps between two checkpoints
    output       folder of checkpoints and log; nothing: runs/finetune/<name of the recipe>
    """

    network: str
    weights: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    warm_start: str | None = None
    seed: int = 0
    steps: int = 1000
    batch: int = 4
    accumulate: int = 1
    workers: int = 0
    threads: int = 0
    device: str = "cpu"
    amp: bool = False
    save_every: int = 100
    output: str | None = None
    data: DataOptions = field(default_factory=DataOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    unroll: UnrollOptions = field(default_factory=UnrollOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)

    def __post_init__(self) -> None:
        one_of("network", self.network, NETWORKS)
        for name in ("steps", "batch", "accumulate", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")
        if (self.weights is None) == (not self.sizes):
            raise InputError(
                "a recipe starts from weights or from random weights of given sizes:"
                " give either 'weights' or 'sizes'"
            )
        if self.warm_start is not None and not self.sizes:
            raise InputError("warm_start goes with sizes: a recipe with weights starts from those")
        if self.network == "tmo" and self.data.size % 32:
            raise InputError(f"data.size is {self.data.size}, TMO needs a multiple of 32")


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, its parents, and ``key.sub=value`` overrides."""
    values = read_yaml(path)
    for override in overrides:
        assign(values, override)
    return build(Recipe, values, str(path))
