"""The recipe of a training: typed, strict, with defaults. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from finetune.clip_options import SYNTHETIC, AugmentOptions, DataOptions
from finetune.training_options import (
    LaunchOptions,
    LossOptions,
    OptimiserOptions,
    UnrollOptions,
)
from mose import InputError
from stseg.config import one_of, to_dict

TRAINING = "training"
NETWORKS = ("xmem", "cutie", "livos", "tmo", "sam2")
COARSE = {"tmo": "TMO", "sam2": "SAM 2"}
"""Networks whose frames are multiples of 32 pixels, and what they are called."""


@dataclass(frozen=True)
class ValidationOptions:
    """The hold-out that decides which checkpoint is best.

    every      steps between two validations, and at the end; 0: none
    dataset    root folder of a data set, ``synthetic``, or ``training``: other videos of the
               same data set, split and labels as the clips
    split      of the data set
    labels     folder of full labels; nothing: the given masks are full labels
    videos     names or shell patterns; empty: all
    exclude    names or shell patterns to leave out
    first      number of the first synthetic video
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
    first: int = 0
    count: int = 6
    frames: int = 16
    size: int = 192
    objects: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A training run.

    network      xmem, cutie, livos, tmo or sam2
    weights      checkpoint to start from: a path, a name from configs/weights.yaml or, in a recipe
                 of stages, ``recipe:stage``; nothing: random weights of the sizes below
    sizes        of a network that starts from random weights: fields of its configuration
    warm_start   with sizes: checkpoint of any model; what has the same name and shape in it
                 starts from there (encoders are shared between models)
    encoders     with weights: checkpoint of any model whose encoders of images and of masks take
                 the place of the network's own
    keys         with sizes, of LiVOS: checkpoint of a Cutie; keys start as clusters of its keys
    seed         of weights, clips and augmentation
    steps        of the optimiser
    batch        clips at a time
    accumulate   batches per step
    workers      processes that make clips; 0: none, they are made in between
    threads      of the trainer's own arithmetic on a CPU; 0: as many as there are cores
    device       cpu, cuda, cuda:<number> or mps
    amp          bfloat16 where autocast sees fit; not on a CPU without instructions for it
    save_every   steps between two checkpoints
    output       folder of checkpoints and log; nothing: runs/finetune/<name of the recipe>
    tensorboard  write curves for TensorBoard beside log.csv
    """

    network: str
    weights: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    warm_start: str | None = None
    encoders: str | None = None
    keys: str | None = None
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
    tensorboard: bool = False
    data: DataOptions = field(default_factory=DataOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    unroll: UnrollOptions = field(default_factory=UnrollOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    launch: LaunchOptions = field(default_factory=LaunchOptions)

    @property
    def hold_out(self) -> ValidationOptions:
        """``validation``, with the data set that "training" stands for."""
        if self.validation.dataset != TRAINING:
            return self.validation
        data = self.data
        return replace(self.validation, dataset=data.dataset, split=data.split, labels=data.labels)

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
        if self.encoders is not None and self.weights is None:
            raise InputError("encoders goes with weights: with sizes, warm_start gives them")
        if self.keys is not None and (self.network != "livos" or not self.sizes):
            raise InputError("keys goes with sizes of a LiVOS: other networks have their own start")
        if self.batch % self.launch.workers:
            raise InputError(
                f"a batch of {self.batch} clips cannot be shared evenly by {self.launch.workers}"
                " workers: change batch or launch.workers"
            )
        if self.network in COARSE and self.data.size % 32:
            name = COARSE[self.network]
            raise InputError(f"data.size is {self.data.size}, {name} needs a multiple of 32")


def fingerprint(recipe: Recipe) -> str:
    """A hash of everything in a recipe on which the course of the training depends.

    Keys at their defaults do not count, so that options may be added later.
    """
    free = replace(
        recipe,
        workers=0,
        threads=0,
        save_every=1,
        output=None,
        tensorboard=False,
        launch=LaunchOptions(),
    )
    chosen = _beyond(to_dict(free), to_dict(Recipe(network=recipe.network, sizes={"": 0})))
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _beyond(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What of nested values differs from the defaults."""
    changed: dict[str, Any] = {}
    for name, value in values.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            value = _beyond(value, default)
            if value:
                changed[name] = value
        elif name not in defaults or value != default:
            changed[name] = value
    return changed
