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

    every     says after how many steps a validation follows; one more follows at the end; 0: none
    dataset   is the root folder of a data set, ``synthetic``, or ``training``: other videos of the
              same data set, split and labels as the clips
    split     names the split of the data set
    labels    is the folder of full labels; nothing: the given masks are full labels
    videos    lists names or shell patterns of videos; empty: all
    exclude   lists names or shell patterns of videos to leave out
    first     is the number of the first synthetic video
    count     is the number of synthetic videos
    frames    is the number of frames of a synthetic video
    size      is the height and width of a synthetic video, in pixels
    objects   is the number of objects of a synthetic video
    options   are options of the adapter that runs the checkpoint
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
class TrainingRecipe:
    """A training run.

    network       is xmem, cutie, livos, tmo or sam2
    weights       is the checkpoint to start from: a path, a name from configs/weights.yaml or, in
                  a recipe of stages, ``recipe:stage``; nothing: random weights of the sizes below
    sizes         are fields of the configuration of a network that starts from random weights
    warm_start    is, with sizes, the checkpoint of any model; weights with the same name and shape
                  start from it (encoders are shared between models)
    encoders      is, with weights, the checkpoint of any model whose encoders of images and of
                  masks replace those of the network
    keys          is, with sizes of LiVOS, the checkpoint of a Cutie; keys start as clusters of its
                  keys
    seed          seeds weights, clips and augmentation
    steps         is the number of steps of the optimiser
    batch         is the number of clips in a batch
    accumulate    is the number of batches per step
    workers       is the number of processes that make clips; 0: they are made between the steps
    threads       is the number of threads of the trainer's own arithmetic on a CPU; 0: as many as
                  there are cores
    device        is cpu, cuda, cuda:<number> or mps
    amp           computes in bfloat16 where autocast sees fit; it is ignored on a CPU without
                  instructions for it
    save_every    is the number of steps between two checkpoints
    output        is the folder of checkpoints and log; nothing: runs/finetune/<name of the recipe>
    tensorboard   writes curves for TensorBoard beside log.csv
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


def fingerprint(recipe: TrainingRecipe) -> str:
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
    chosen = _beyond(to_dict(free), to_dict(TrainingRecipe(network=recipe.network, sizes={"": 0})))
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
